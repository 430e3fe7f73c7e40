"""CloudEvents in a real RabbitMQ become events."""

import uuid

import aiormq
import pytest
from carried import PARENT, ByParameter
from cloud_events import UNREADABLE, amqp_messages, made
from evframe_cloudevents import CloudEventsPlugin
from evframe_cloudevents import Options as CloudEventsOptions
from evframe_rabbitmq_consumer import ConnectionOptions, Options, RabbitmqConsumer

from evframe.testing import Recorder, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def queue(rabbitmq):
    """Return the name of a queue, and a function that publishes to it."""
    name = f"q-{uuid.uuid4().hex[:8]}"
    async with aiormq.connect(f"amqp://127.0.0.1:{rabbitmq.port}/") as connection:
        channel = await connection.channel()
        await channel.queue_declare(name, durable=True)

        async def publish(messages):
            for kind, headers, body in messages:
                properties = aiormq.spec.Basic.Properties(content_type=kind, headers=headers)
                await channel.basic_publish(body, routing_key=name, properties=properties)

        yield name, publish
        await channel.queue_delete(name)


def recorder_of(rabbitmq, queue, **options):
    connection = ConnectionOptions(queue=queue, uri=f"amqp://127.0.0.1:{rabbitmq.port}/", name="c", **options)
    plugins = {
        "rabbitmq-consumer": RabbitmqConsumer(Options(connections=[connection])),
        "cloudevents": CloudEventsPlugin(CloudEventsOptions(type_prefix="org.example.")),
    }
    return Recorder(plugins)


@pytest.mark.parametrize("ack", ["outcome", "at_once"])
async def test_messages_become_events(rabbitmq, queue, ack):
    """The type without the prefix is the event, its data are the parameters, of small and of large messages."""
    name, publish = queue
    structured = made(14, traceparent=PARENT.replace("b", "c"))
    await publish(amqp_messages(*map(made, range(12)), made(12, traceparent=PARENT), made(13), structured))
    recorder = recorder_of(rabbitmq, name, ack=ack)
    tracing = ByParameter()
    recorder.interface.trace_by(tracing)
    async with recorder:
        recorder.register_event("E_N")
        got = await recorder.wait_for(15, 60)
        await until(lambda: recorder.plugin("rabbitmq-consumer").consumers["c"].counts.answers["ack"] == 15, 20)
    assert [params["n"] for name, params in got if name == "E_N"] == list(range(15))
    contexts = [headers.get("traceparent") for headers in tracing.within_headers if headers]
    assert [each for each in contexts if each] == [PARENT, PARENT.replace("b", "c")]


@pytest.mark.parametrize("event", [None, "E_BODY"])
async def test_what_cannot_be_read_is_treated_as_any_other_message(rabbitmq, queue, event):
    """A message that only says that it is a CloudEvent is refused, or a body where there is an event for these."""
    name, publish = queue
    await publish(UNREADABLE)
    async with recorder_of(rabbitmq, name, event=event) as recorder:
        consumer = recorder.plugin("rabbitmq-consumer").consumers["c"]
        if event is None:
            await until(lambda: consumer.counts.answers["reject"] == len(UNREADABLE), 60)
            assert consumer.intake.refused == {"no_event": len(UNREADABLE)}
        else:
            got = await recorder.wait_for(len(UNREADABLE), 60)
            bodies = [params["body"].encode("utf-8", "surrogateescape") for _, params in got]
            assert bodies == [body for _, _, body in UNREADABLE]
