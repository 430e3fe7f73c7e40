"""CloudEvents on a real RabbitMQ, as the official SDK reads its messages."""

import asyncio

import pytest
from brokers.queues import channel_of
from carried import PARENT, ByParameter
from cloudevents.core.bindings.amqp import AMQPMessage, from_amqp_event
from evframe_cloudevents import BinaryFormatOptions, CloudEventsPlugin
from evframe_cloudevents import Options as CloudEventsOptions
from evframe_rabbitmq import Options, RabbitmqTransport, parse
from evframe_rabbitmq.attribute_frames import NAMES, AttributeFrames
from evframe_rabbitmq.frames import MessageFrames, Own

import evframe

PARAMS = [{"n": 1, "text": 'é"€'}, [1, "two", None], {"deep": [{"a": [1.5]}]}, None]
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def queue(rabbitmq):
    """Return a queue of the test's own."""
    async with channel_of(rabbitmq) as channel:
        yield await channel.declare_queue(exclusive=True)


def interface(**options):
    settings = CloudEventsPlugin(CloudEventsOptions("urn:gateway:1", "org.example."))
    plugins = {"rabbitmq": RabbitmqTransport(Options(**options)), "cloudevents": settings}
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_TEST")
    events.register_event("E_OTHER")
    return events


async def take(queue, count):
    got = []
    async with asyncio.timeout(60), queue.iterator(no_ack=True) as messages:
        async for message in messages:
            got.append(message)
            if len(got) == count:
                return got


def read_by_the_sdk(message):
    properties = {} if message.content_type is None else {"content-type": message.content_type}
    return from_amqp_event(AMQPMessage(properties, dict(message.headers), message.body))


async def raise_all(events, params):
    reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", each) for each in params))
    assert {outcome.reason for report in reports for outcome in report} == {None}


@pytest.mark.parametrize("more", ["", "message_id;", "timestamp;", "header.site=a;", "header.site=a-{n};"])
@pytest.mark.parametrize("format_", ["cloudevents", "cloudevents-structured"])
async def test_messages_are_read_by_the_sdk(rabbitmq, queue, format_, more):
    """The attributes are in headers `cloudEvents:`, or in the body, with the properties of the socket beside them."""
    params = [{"n": 1, "text": 'é"€'}, {"n": 2}] if "{" in more else PARAMS
    async with interface(format=format_) as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{more}persistent?{queue.name}")
        await raise_all(events, params)
    messages = await take(queue, len(params))
    read = [read_by_the_sdk(message) for message in messages]

    data = [event.get_data() for event in read]
    assert data[:3] == params[:3]
    assert {(event.get_type(), event.get_source()) for event in read} == {("org.example.E_TEST", "urn:gateway:1")}
    assert len({event.get_id() for event in read}) == len(read)
    assert all(message.delivery_mode == 2 for message in messages)
    assert all(("cloudEvents:type" in message.headers) == (format_ == "cloudevents") for message in messages)
    kinds = {(message.content_type or "").partition(";")[0] for message in messages}
    assert kinds <= ({"application/json", ""} if format_ == "cloudevents" else {"application/cloudevents+json"})
    if more == "message_id;":
        assert [message.message_id for message in messages] == [event.get_id() for event in read]
    if more == "timestamp;":
        assert all(
            abs((message.timestamp - event.get_time()).total_seconds()) <= 1
            for message, event in zip(messages, read, strict=True)
        )
    if more.startswith("header"):
        assert messages[0].headers["site"] == more.removeprefix("header.site=").removesuffix(";").replace("{n}", "1")


async def test_events_of_several_names_and_with_contexts(rabbitmq, queue):
    """Events that wait together have each its own attributes; a context is in the extension and in the headers."""
    async with interface(format="cloudevents") as events:
        events.trace_by(ByParameter())
        for name in ("E_TEST", "E_OTHER"):
            events.subscribe_event(name, f"rabbitmq:127.0.0.1:{rabbitmq.port}/{queue.name}")
        for number in range(20):
            more = {"headers": {"traceparent": PARENT}} if number % 5 == 4 else {}
            events.raise_event("E_OTHER" if number % 3 else "E_TEST", {"n": number, "text": "x" * number, **more})
        messages = await take(queue, 20)
    read = [read_by_the_sdk(message) for message in messages]
    assert [event.get_data()["n"] for event in read] == list(range(20))
    assert [event.get_type() for event in read] == [
        f"org.example.{'E_OTHER' if number % 3 else 'E_TEST'}" for number in range(20)
    ]
    contexts = [PARENT if number % 5 == 4 else None for number in range(20)]
    assert [event.get_extension("traceparent") for event in read] == contexts
    assert [message.headers.get("traceparent") for message in messages] == contexts


async def test_a_rule_for_a_queue(rabbitmq, queue):
    """A subscriber that no rule matches gets the notification, without headers and content type."""
    rules = [BinaryFormatOptions("*:1/*", "cloudevents")]
    async with interface(formats=rules) as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{queue.name}")
        await raise_all(events, [[1]])
    (message,) = await take(queue, 1)
    assert message.body == b'{"jsonrpc":"2.0","method":"E_TEST","params":[1]}'
    assert (message.headers, message.content_type) == ({}, None)


@pytest.mark.parametrize("socket", ["h/q", "h/header.x=1;header.zz=2?q", "h/header.cloudEvents:id=own;persistent?q"])
@pytest.mark.parametrize("length", [5, 9])
def test_the_frames_are_those_of_the_library(socket, length):
    """Headers that are made from those of an equal message are the same bytes as the library's."""
    target = parse(socket)
    frames = AttributeFrames(3, 4096, target)
    bodies, owns, expected = [], [], b""
    for number in range(40):
        attributes = {
            NAMES.prefix + name: value
            for name, value in {
                "type": f"E_{number % 3}",
                "id": f"{number:0{length}}",
                "time": f"2026-11-28T21:03:35.{number:03}Z",
                "aa": "1",
            }.items()
        }
        owns.append(Own(attributes=attributes, content_type="application/json" if number % 2 else None))
        bodies.append(b"x" * (number * 150))
        expected += MessageFrames(3, 4096, target, owns[-1]).of([bodies[-1]])
    assert frames.of(bodies, owns) == expected
