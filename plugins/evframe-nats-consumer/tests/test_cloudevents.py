"""CloudEvents in a real NATS become events."""

import uuid

import pytest
from brokers.streams import jetstream_of, make_stream
from carried import PARENT, ByParameter
from cloud_events import UNREADABLE, made, nats_messages
from evframe_cloudevents import CloudEventsPlugin
from evframe_cloudevents import Options as CloudEventsOptions
from evframe_nats_consumer import ConnectionOptions, NatsConsumer, Options

from evframe.testing import Recorder, until

pytestmark = pytest.mark.timeout(120)


class Consuming:
    """A recorder of what is consumed from a stream."""

    def __init__(self, nats, **options):
        self._nats = nats
        self.stream = f"s{uuid.uuid4().hex[:8]}"
        url = f"nats://127.0.0.1:{nats.port}"
        plugins = {
            "nats-consumer": NatsConsumer(Options([ConnectionOptions(stream=self.stream, url=url, **options)])),
            "cloudevents": CloudEventsPlugin(CloudEventsOptions(type_prefix="org.example.")),
        }
        self.recorder = Recorder(plugins)

    async def publish(self, messages):
        await make_stream(self._nats, self.stream)
        async with jetstream_of(self._nats) as jetstream:
            for kind, headers, body in messages:
                more = {} if kind is None else {"Content-Type": kind}
                await jetstream.publish(f"{self.stream}.a", body, headers={**headers, **more} or None)

    @property
    def consumer(self):
        return self.recorder.plugin("nats-consumer").consumers[self.stream]


@pytest.mark.parametrize("ack", ["outcome", "at_once"])
async def test_messages_become_events(nats, ack):
    """The type without the prefix is the event, its data are the parameters, of small and of large messages."""
    consuming = Consuming(nats, ack=ack)
    tracing = ByParameter()
    consuming.recorder.interface.trace_by(tracing)
    parents = [PARENT.replace("b", letter) for letter in "bcd"]
    traced = [made(12 + number, traceparent=parent) for number, parent in enumerate(parents)]
    other = made(15, type="com.example.é%41")
    await consuming.publish(nats_messages(*map(made, range(12)), *traced, other))
    async with consuming.recorder as recorder:
        recorder.register_event("E_N")
        recorder.register_event("com.example.é%41")
        got = await recorder.wait_for(16, 60)
        await until(lambda: consuming.consumer.counts.answers["ack"] == 16)
    assert [params["n"] for name, params in got if name == "E_N"] == list(range(15))
    assert [params["n"] for name, params in got if name == "com.example.é%41"] == [15]
    contexts = [headers.get("traceparent") for headers in tracing.within_headers if headers]
    assert sorted({each for each in contexts if each}) == sorted(parents)


async def test_the_content_type_among_the_attributes(nats):
    """Data have the content type of the attribute where the message has no other one."""
    attributes = {"ce-specversion": "1.0", "ce-type": "E_N", "ce-source": "/a", "ce-id": "1"}
    messages = [
        (None, attributes | {"ce-datacontenttype": "text/plain"}, b"[1]"),
        (None, attributes | {"ce-datacontenttype": "application/json"}, b"[2]"),
        (None, attributes, b""),
    ]
    consuming = Consuming(nats, event="E_BODY")
    await consuming.publish(messages)
    async with consuming.recorder as recorder:
        recorder.register_event("E_N")
        got = await recorder.wait_for(3, 60)
    body = {"body": "[1]", "subject": f"{consuming.stream}.a"}
    assert got == [("E_BODY", body), ("E_N", (2,)), ("E_N", None)]


@pytest.mark.parametrize("event", [None, "E_BODY"])
async def test_what_cannot_be_read_is_treated_as_any_other_message(nats, event):
    """A message that only says that it is a CloudEvent is refused, or a body where there is an event for these."""
    messages = [
        *(
            (kind, {name.replace("ce_", "Ce-"): text for name, text in headers.items()}, body)
            for kind, headers, body in UNREADABLE
        ),
        (None, {}, b'{"specversion":"1.0","type":"E_N","source":"/a"}'),
        ("application/json", {"ce-specversion": "1.0", "ce-type": "E_N", "ce-id": "1"}, b'{"n":1}'),
    ]
    consuming = Consuming(nats, event=event)
    await consuming.publish(messages)
    async with consuming.recorder as recorder:
        answer = "term" if event is None else "ack"
        await until(lambda: consuming.consumer.counts.answers[answer] == len(messages))
        got = [] if event is None else await recorder.wait_for(len(messages), 60)
        assert consuming.consumer.intake.refused == ({"no_event": len(messages)} if event is None else {})
    bodies = [params["body"].encode("utf-8", "surrogateescape") for _, params in got]
    assert bodies == [body for _, _, body in messages if event is not None]
