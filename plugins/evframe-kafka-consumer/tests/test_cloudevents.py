"""CloudEvents in a real Kafka become events."""

import pytest
from aiokafka import AIOKafkaProducer
from brokers.topics import make_topic
from carried import PARENT, ByParameter
from cloud_events import UNREADABLE, kafka_messages, made
from evframe_cloudevents import CloudEventsPlugin
from evframe_cloudevents import Options as CloudEventsOptions
from evframe_kafka_consumer import ConnectionOptions, KafkaConsumer, Options

from evframe.testing import Recorder, until

pytestmark = pytest.mark.timeout(120)


async def consuming(kafka, messages, **options):
    """Put *messages* into a topic; return the topic, and a recorder of what is consumed from it."""
    topic = await make_topic(kafka)
    async with AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{kafka.port}", acks="all") as producer:
        for headers, value in messages:
            await producer.send_and_wait(topic, value, headers=headers)
    connection = ConnectionOptions(
        topics=[topic], brokers=f"127.0.0.1:{kafka.port}", group_id=topic, name="c", **options
    )
    plugins = {
        "kafka-consumer": KafkaConsumer(Options(connections=[connection])),
        "cloudevents": CloudEventsPlugin(CloudEventsOptions(type_prefix="org.example.")),
    }
    return topic, Recorder(plugins)


async def test_records_become_events(kafka):
    """The type without the prefix is the event, its data are the parameters, of small and of large records."""
    events = [*map(made, range(8)), made(8, "E_OTHER", type="com.example.thing", traceparent=PARENT)]
    events.append(made(9, traceparent=PARENT.replace("b", "c")))  # structured, and large
    _, recorder = await consuming(kafka, kafka_messages(*events))
    tracing = ByParameter()
    recorder.interface.trace_by(tracing)
    async with recorder:
        recorder.register_event("E_N")
        recorder.register_event("com.example.thing")
        got = await recorder.wait_for(10, 60)
    assert [params["n"] for name, params in got if name == "E_N"] == [*range(8), 9]
    assert [name for name, params in got if params["n"] == 8] == ["com.example.thing"]
    contexts = [headers.get("traceparent") for headers in tracing.within_headers if headers]
    assert {each for each in contexts if each} == {PARENT, PARENT.replace("b", "c")}


@pytest.mark.parametrize("event", [None, "E_BODY"])
async def test_what_cannot_be_read_is_treated_as_any_other_record(kafka, event):
    """A record that only says that it is a CloudEvent is refused, or a body where there is an event for these."""
    messages = [
        ([("content-type", kind.encode()), *((name, text.encode()) for name, text in headers.items())], body)
        for kind, headers, body in UNREADABLE
    ]
    _, recorder = await consuming(kafka, messages, event=event)
    async with recorder:
        intake = recorder.plugin("kafka-consumer").consumers["c"].intake
        if event is None:
            await until(lambda: intake.refused["no_event"] == len(UNREADABLE), 60)
            assert intake.raised == 0
        else:
            got = await recorder.wait_for(len(UNREADABLE), 60)
            bodies = [params["body"].encode("utf-8", "surrogateescape") for _, params in got]
            assert bodies == [body for _, _, body in UNREADABLE]


async def test_patterns_and_bodies(kafka):
    """The patterns of `events` hold for CloudEvents, too; without any, each is a body."""
    for events, reason, raised in ((["E_A*"], "not_allowed", 0), ([], "", 2)):
        _, recorder = await consuming(kafka, kafka_messages(made(0), made(2)), events=events, event="E_BODY")
        async with recorder:
            intake = recorder.plugin("kafka-consumer").consumers["c"].intake
            await until(lambda: intake.raised + intake.refused.total() == 2, 60)  # noqa: B023 awaited here
        assert (intake.raised, dict(intake.refused)) == (raised, {reason: 2} if reason else {})
