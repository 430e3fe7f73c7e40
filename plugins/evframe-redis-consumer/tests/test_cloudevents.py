"""CloudEvents in a real Redis become events."""

import json
import uuid

import pytest
from brokers.redis import commands_of
from carried import PARENT, ByParameter
from cloud_events import UNREADABLE, kafka_messages, made
from evframe_cloudevents import CloudEventsPlugin
from evframe_cloudevents import Options as CloudEventsOptions
from evframe_redis_consumer import ConnectionOptions, Options, RedisConsumer

from evframe.testing import Recorder, until

pytestmark = pytest.mark.timeout(120)


class Consuming:
    """A recorder of what is consumed from a stream."""

    def __init__(self, redis, **options):
        self._redis = redis
        self.stream = f"s-{uuid.uuid4().hex[:8]}"
        url = f"redis://127.0.0.1:{redis.port}"
        plugins = {
            "redis-consumer": RedisConsumer(Options([ConnectionOptions(stream=self.stream, url=url, **options)])),
            "cloudevents": CloudEventsPlugin(CloudEventsOptions(type_prefix="org.example.")),
        }
        self.recorder = Recorder(plugins)

    def add(self, entries):
        with commands_of(self._redis) as commands:
            for fields in entries:
                commands.xadd(self.stream, fields)

    @property
    def consumer(self):
        return self.recorder.plugin("redis-consumer").consumers[self.stream]


def entries(*events):
    """Return the fields of each event: those of the headers of Kafka, or structured without a content type."""
    for number, (headers, body) in enumerate(kafka_messages(*events)):
        yield {**({} if number % 4 == 3 else dict(headers)), "payload": body}


@pytest.mark.parametrize("ack", ["outcome", "at_once"])
async def test_entries_become_events(redis, ack):
    """The type without the prefix is the event, its data are the parameters, of small and of large entries."""
    consuming = Consuming(redis, ack=ack)
    tracing = ByParameter()
    consuming.recorder.interface.trace_by(tracing)
    parents = [PARENT.replace("b", letter) for letter in "bcde"]
    traced = [made(12 + number, traceparent=parent) for number, parent in enumerate(parents)]
    other = made(16, type="com.example.é%41")
    consuming.add(entries(*map(made, range(12)), *traced, other))
    async with consuming.recorder as recorder:
        recorder.register_event("E_N")
        recorder.register_event("com.example.é%41")
        got = await recorder.wait_for(17, 60)
        await until(lambda: consuming.consumer.listed()["acknowledged"] == 17)
    assert [params["n"] for name, params in got if name == "E_N"] == list(range(16))
    assert [params["n"] for name, params in got if name == "com.example.é%41"] == [16]
    contexts = [headers.get("traceparent") for headers in tracing.within_headers if headers]
    assert sorted({each for each in contexts if each}) == sorted(parents)


async def test_an_entry_without_a_payload(redis):
    """The fields of an entry are the attributes of an event without data; otherwise they are a body."""
    attributes = {"ce_specversion": "1.0", "ce_type": "E_N", "ce_source": "/a", "ce_id": "1"}
    others = [attributes | {"ce_id": ""}, {"specversion": "1.0"}]
    consuming = Consuming(redis, event="E_BODY")
    consuming.add([attributes, *others])
    async with consuming.recorder as recorder:
        recorder.register_event("E_N")
        got = await recorder.wait_for(3, 60)
    assert got[0] == ("E_N", None)
    assert [(name, json.loads(params["body"])) for name, params in got[1:]] == [("E_BODY", each) for each in others]


@pytest.mark.parametrize("event", [None, "E_BODY"])
async def test_what_cannot_be_read_is_treated_as_any_other_entry(redis, event):
    """An entry that only says that it is a CloudEvent is refused, or a body where there is an event for these."""
    found = [{**headers, "content-type": kind, "payload": body} for kind, headers, body in UNREADABLE]
    found.append({"payload": b'{"specversion":"1.0","type":"E_N","source":"/a"}'})
    consuming = Consuming(redis, event=event)
    consuming.add(found)
    async with consuming.recorder as recorder:
        done = "rejected" if event is None else "acknowledged"
        await until(lambda: consuming.consumer.listed()[done] == len(found))
        got = [] if event is None else await recorder.wait_for(len(found), 60)
        assert consuming.consumer.intake.refused == ({"no_event": len(found)} if event is None else {})
    bodies = [params["body"].encode("utf-8", "surrogateescape") for _, params in got]
    assert bodies == [each["payload"] for each in found if event is not None]
