"""A trace that goes from a service through a RabbitMQ and a Kafka into a route."""

import json
import time
import uuid

import aio_pika
import aiohttp
import pytest
from brokers.queues import channel_of, make_queue
from brokers.topics import make_topic, records_in
from evframe_journal import JournalPlugin
from evframe_journal import Options as JournalOptions
from evframe_kafka import KafkaTransport
from evframe_kafka_consumer import ConnectionOptions as KafkaConnection
from evframe_kafka_consumer import KafkaConsumer
from evframe_kafka_consumer import Options as KafkaOptions
from evframe_mi import Management
from evframe_mi_http import HttpManagement
from evframe_mi_http import Options as HttpOptions
from evframe_opensips.intake import InstanceIntake
from evframe_rabbitmq import RabbitmqTransport
from evframe_rabbitmq_consumer import ConnectionOptions as RabbitmqConnection
from evframe_rabbitmq_consumer import Options as RabbitmqOptions
from evframe_rabbitmq_consumer import RabbitmqConsumer
from evframe_route import RouteTransport
from evframe_tracing import Tracing
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, use_span

import evframe
from evframe.config import parse_config
from evframe.testing import MemoryTransport, until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = "vendor=x1"
LARGE = "x" * 20_000  # more than what is read on the loop


class Spans:
    """The spans of a process."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def named(self, name):
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def interface(self, config=None, **plugins):
        return evframe.EventInterface(config, plugins={"tracing": Tracing(provider=self.provider), **plugins})


@pytest.fixture
def spans():
    spans = Spans()
    yield spans
    spans.provider.shutdown()


def elsewhere():
    """Return what makes a span of another process the current one."""
    ids = SpanContext(
        int(PARENT[3:35], 16),
        int(PARENT[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(1),
        trace_state=TraceState([("vendor", "x1")]),
    )
    return use_span(NonRecordingSpan(ids))


def new_name():
    return f"t-{uuid.uuid4().hex[:8]}"


def from_rabbitmq(broker, queue):
    uri = f"amqp://guest:guest@127.0.0.1:{broker.port}/"
    return RabbitmqConsumer(RabbitmqOptions(connections=[RabbitmqConnection(name="r", uri=uri, queue=queue)]))


def from_kafka(broker, topic):
    options = {"name": "k", "brokers": f"127.0.0.1:{broker.port}", "group_id": topic, "auto_offset_reset": "earliest"}
    return KafkaConsumer(KafkaOptions(connections=[KafkaConnection(topics=[topic], **options)]))


@pytest.mark.parametrize("text", ["small", LARGE], ids=["small", "large"])
async def test_one_trace_through_rabbitmq_and_kafka_into_a_route(rabbitmq, kafka, spans, text):
    """The span of a service is the parent of each delivery, of the work of the route, and of what the route raises."""
    queue, topic = new_name(), await make_topic(kafka)
    await make_queue(rabbitmq, queue)
    routes, memory = RouteTransport(), MemoryTransport()
    service = spans.interface(rabbitmq=RabbitmqTransport())
    gateway = spans.interface(consumer=from_rabbitmq(rabbitmq, queue), kafka=KafkaTransport())
    worker = spans.interface(consumer=from_kafka(kafka, topic), route=routes, memory=memory)

    def work(event):
        with spans.tracer.start_as_current_span("work"):
            worker.raise_event("E_DONE", {"size": len(event["text"])})

    routes.add("E_TRACED", work)
    for interface in (service, gateway):
        interface.register_event("E_TRACED")
    worker.register_event("E_DONE")
    service.subscribe_event("E_TRACED", f"rabbitmq:127.0.0.1:{rabbitmq.port}/persistent?{queue}")
    gateway.subscribe_event("E_TRACED", f"kafka:127.0.0.1:{kafka.port}/{topic}")
    worker.subscribe_event("E_DONE", "memory:m")
    async with service, gateway, worker:
        with spans.tracer.start_as_current_span("request") as request:
            service.raise_event("E_TRACED", {"text": text})
        await until(lambda: memory.delivered.get("m"))
        await until(lambda: spans.named("process route") and spans.named("send memory"))

    ids = request.get_span_context()
    found = {span.name: span for span in spans.exporter.get_finished_spans()}
    assert sorted(found) == ["process route", "request", "send kafka", "send memory", "send rabbitmq", "work"]
    assert {span.context.trace_id for span in found.values()} == {ids.trace_id}
    parents = {name: span.parent and span.parent.span_id for name, span in found.items()}
    of_work = found["work"].context.span_id
    assert parents == {
        "request": None,
        "send rabbitmq": ids.span_id,
        "send kafka": ids.span_id,
        "process route": ids.span_id,
        "work": ids.span_id,
        "send memory": of_work,
    }
    assert found["send kafka"].parent.is_remote
    assert (
        memory.delivered["m"][0].carried["traceparent"]
        == f"00-{ids.trace_id:032x}-{of_work:016x}-{ids.trace_flags:02x}"
    )


async def headers_in(broker, queue):
    """Return the headers of all messages in a queue."""
    async with channel_of(broker) as channel:
        found = await channel.declare_queue(queue, durable=True)
        return [dict((await found.get(no_ack=True)).headers) for _ in range(found.declaration_result.message_count)]


@pytest.mark.parametrize("is_kept", [False, True], ids=["memory", "kept"])
@pytest.mark.parametrize(
    ("properties", "has_parameters"),
    [("header.a=b", False), ("header.a=b;message_id;timestamp", False), ("header.a=b;header.n={n}", True)],
    ids=["fixed", "ids", "parameters"],
)
async def test_messages_have_the_headers_of_their_events(
    rabbitmq, kafka, spans, tmp_path, properties, has_parameters, is_kept
):
    """Each message has the headers of its event, beside those of its socket; one without a context has none."""
    queue, topic = new_name(), await make_topic(kafka)
    await make_queue(rabbitmq, queue)
    config = parse_config('[[policies]]\nsocket = "*"\nkeep = "disk"\n' if is_kept else "")
    journal = JournalPlugin(JournalOptions(path=str(tmp_path / "journal")))
    plugins = {"rabbitmq": RabbitmqTransport(), "kafka": KafkaTransport(), "journal": journal}
    events = spans.interface(config, **plugins)
    events.register_event("E_TRACED")
    sockets = [
        f"rabbitmq:127.0.0.1:{rabbitmq.port}/persistent;{properties}?{queue}",
        f"kafka:127.0.0.1:{kafka.port}/{topic}?header.a=b{'&header.n={n}' if has_parameters else ''}",
    ]
    for socket in sockets:
        events.subscribe_event("E_TRACED", socket)
    async with events:
        for number in range(6):
            if number % 2:
                with elsewhere():
                    events.raise_event("E_TRACED", {"n": number})
            else:
                events.raise_event("E_TRACED", {"n": number})
        await until(lambda: not any(each.depth for each in events.statistics))
        assert [(each.delivered, each.failed) for each in events.statistics][:2] == [(6, 0)] * 2
    of_messages = await headers_in(rabbitmq, queue)
    of_records = [{name: value.decode() for name, value in record.headers} for record in await records_in(kafka, topic)]

    expected = [
        {"a": "b"}
        | ({"n": str(number)} if has_parameters else {})
        | ({"traceparent": PARENT, "tracestate": STATE} if number % 2 else {})
        for number in range(6)
    ]
    assert of_messages == expected
    assert [bool(record.pop("evframe-id", None)) for record in of_records] == [is_kept] * 6
    assert of_records == expected


OTHER = "00-11111111111111111111111111111111-2222222222222222-01"


def cloud_event(text, **more):
    """Return a structured CloudEvent with the attributes *more*."""
    event = {"specversion": "1.0", "type": "E_TRACED", "source": "/a", "id": "1", "data": {"text": text}} | more
    return json.dumps(event).encode()


@pytest.mark.parametrize("text", ["small", LARGE], ids=["small", "large"])
async def test_the_context_of_a_cloud_event_is_that_of_its_event(rabbitmq, spans, text):
    """The extensions of a structured CloudEvent count like those in headers, unless headers of the message have some."""
    queue = new_name()
    await make_queue(rabbitmq, queue)
    memory = MemoryTransport()
    events = spans.interface(consumer=from_rabbitmq(rabbitmq, queue), memory=memory)
    events.register_event("E_TRACED")
    events.subscribe_event("E_TRACED", "memory:m")
    binary = {f"cloudEvents:{name}": name for name in ("id", "source")} | {"cloudEvents:specversion": "1.0"}
    binary |= {"cloudEvents:type": "E_TRACED", "cloudEvents:traceparent": OTHER}
    messages = [
        ({}, cloud_event(text, traceparent=PARENT, tracestate=STATE)),
        ({}, cloud_event(text)),
        ({"traceparent": OTHER}, cloud_event(text, traceparent=PARENT, tracestate=STATE)),
        ({}, cloud_event(text, traceparent="x")),
        (binary, json.dumps({"text": text}).encode()),
        (binary | {"traceparent": PARENT}, json.dumps({"text": text}).encode()),
        ({}, cloud_event(text, traceparent=OTHER)),
    ]
    with spans.tracer.start_as_current_span("start of the service"):
        await events.__aenter__()
    async with channel_of(rabbitmq) as channel:
        for headers, body in messages:
            kind = "application/json" if "cloudEvents:id" in headers else "application/cloudevents+json"
            message = aio_pika.Message(body, headers=headers, content_type=kind)
            await channel.default_exchange.publish(message, routing_key=queue)
    await until(lambda: len(memory.delivered.get("m", ())) == len(messages))
    await events.__aexit__(None, None, None)

    assert [event["text"] for event in memory.delivered["m"]] == [text] * len(messages)
    assert [event.carried for event in memory.delivered["m"]] == [
        {"traceparent": PARENT, "tracestate": STATE},
        None,
        {"traceparent": OTHER},
        None,
        {"traceparent": OTHER},
        {"traceparent": PARENT},
        {"traceparent": OTHER},
    ]


class Instance:
    """A plugin with what one instance sends."""

    @evframe.hookimpl
    def loaded(self, context):
        self.intake = InstanceIntake(context, "one", "", time.monotonic)
        self.intake.expected = {"E_TRACED"}


@pytest.mark.parametrize("is_large", [False, True])
async def test_the_context_of_a_cloud_event_of_another_gateway(spans, is_large):
    """An event has the context of its CloudEvent, and a notification, which has none, has not that of the start."""
    memory, instance = MemoryTransport(), Instance()
    events = spans.interface(memory=memory, instance=instance)
    events.register_event("E_TRACED")
    events.subscribe_event("E_TRACED", "memory:m")
    notification = b'{"jsonrpc":"2.0","method":"E_TRACED","params":{"text":"b"}}'
    data = cloud_event("a", traceparent=PARENT, tracestate=STATE) + notification + cloud_event("c", traceparent="x")
    async with events:
        with spans.tracer.start_as_current_span("start of the service"):
            if is_large:
                await instance.intake.take_large(data, print)
            else:
                instance.intake.take(data, print)
                instance.intake.take(cloud_event("d", traceparent=OTHER), print)
        count = 3 if is_large else 4
        await until(lambda: len(memory.delivered.get("m", ())) == count)

    found = [(event["text"], event.carried) for event in memory.delivered["m"]]
    own = {"traceparent": PARENT, "tracestate": STATE}
    assert found == [("a", own), ("b", None), ("c", None), ("d", {"traceparent": OTHER})][:count]


GARBAGE = ["x", 7, "", PARENT[:-1], "0" * 4000, ["a"], {"traceparent": PARENT}, None, True]


async def test_a_message_with_a_broken_context_is_an_event(rabbitmq, spans, caplog):
    """Whatever the header of a message is, its event is raised, without a context, and the log has one line."""
    queue = new_name()
    await make_queue(rabbitmq, queue)
    memory = MemoryTransport()
    events = spans.interface(consumer=from_rabbitmq(rabbitmq, queue), memory=memory)
    events.register_event("E_TRACED")
    events.subscribe_event("E_TRACED", "memory:m")
    body = b'{"jsonrpc":"2.0","method":"E_TRACED"}'
    with spans.tracer.start_as_current_span("start of the service"):
        await events.__aenter__()
    async with channel_of(rabbitmq) as channel:
        for value in GARBAGE:
            message = aio_pika.Message(body, headers={"traceparent": value, "tracestate": 5})
            await channel.default_exchange.publish(message, routing_key=queue)
        await channel.default_exchange.publish(aio_pika.Message(body), routing_key=queue)
    await until(lambda: len(memory.delivered.get("m", ())) == len(GARBAGE) + 1)
    refused = events.plugin("tracing").statistics()[0].counters["refused"]
    await events.__aexit__(None, None, None)

    assert {event.carried for event in memory.delivered["m"]} == {None}
    assert refused == len(GARBAGE) - 1  # a header that is null is none
    lines = [record for record in caplog.records if record.name == "evframe.tracing"]
    assert [line.getMessage() for line in lines] == ["the trace context of a message was refused"]


async def test_a_context_that_does_not_fit_is_left_out(kafka, spans):
    """A record that the broker takes without the headers of its event alone is sent without them."""
    size = 2000
    topic = await make_topic(kafka, **{"max.message.bytes": str(size)})
    events = spans.interface(kafka=KafkaTransport())
    events.register_event("E_TRACED")
    socket = f"kafka:127.0.0.1:{kafka.port}/{topic}"
    events.subscribe_event("E_TRACED", socket)
    async with events:
        with elsewhere():
            report = await events.raise_event_and_wait("E_TRACED", {"text": "x" * (size - 170)})
            few = await events.raise_event_and_wait("E_TRACED", {"text": "y"})
    records = await records_in(kafka, topic)

    assert [outcome.reason for outcome in (*report, *few)] == [None, None]
    assert [[name for name, _ in record.headers] for record in records] == [[], ["traceparent", "tracestate"]]


async def test_an_interface_without_the_plugin_sends_and_reads_no_context(rabbitmq, spans):
    """Without the plugin the current span goes nowhere, and the headers of messages mean nothing."""
    queue = new_name()
    await make_queue(rabbitmq, queue)
    events = evframe.EventInterface(plugins={"rabbitmq": RabbitmqTransport()})
    events.register_event("E_TRACED")
    events.subscribe_event("E_TRACED", f"rabbitmq:127.0.0.1:{rabbitmq.port}/persistent?{queue}")
    async with events:
        with elsewhere():
            await events.raise_event_and_wait("E_TRACED")
    assert await headers_in(rabbitmq, queue) == [{}]
    assert spans.exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("text", "until_"), [("small", None), (LARGE, None), ("small", "delivered"), (LARGE, "stored")]
)
async def test_a_raise_over_http_continues_the_context_of_its_request(spans, text, until_):
    """An event that is raised over the management interface is in the context of the request's headers."""
    memory, server = MemoryTransport(), HttpManagement(HttpOptions(bind="127.0.0.1:0"))
    events = spans.interface(memory=memory, mi=Management(), server=server)
    events.register_event("E_TRACED")
    events.subscribe_event("E_TRACED", "memory:m")
    params = {"event": "E_TRACED", "params": {"text": text}} | ({"until": until_} if until_ else {})
    request = {"jsonrpc": "2.0", "id": 1, "method": "evi:raise", "params": params}
    headers = {"Content-Type": "application/json"}
    async with events, aiohttp.ClientSession() as session:
        host, port = server.address
        url = f"http://{host}:{port}/mi"
        for more in ({"Traceparent": PARENT, "tracestate": STATE}, {}, {"traceparent": "x"}):
            async with session.post(url, json=request, headers=headers | more) as answer:
                assert "result" in await answer.json()
        await until(lambda: len(memory.delivered.get("m", ())) == 3)

    assert [event.carried for event in memory.delivered["m"]] == [
        {"traceparent": PARENT, "tracestate": STATE},
        None,
        None,
    ]
