"""CloudEvents on a real Kafka, as the official SDK reads its records."""

import pytest
from brokers.topics import make_topic, records_in
from carried import PARENT, ByParameter
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from evframe_cloudevents import BinaryFormatOptions, CloudEventsPlugin, Formats
from evframe_cloudevents import Options as CloudEventsOptions
from evframe_kafka import KafkaTransport, Options
from evframe_kafka.address import parse
from evframe_kafka.contents import contents_of

import evframe

PARAMS = [{"n": 1, "text": 'é"€'}, [1, "two", None], {"deep": [{"a": [1.5]}]}, None]
pytestmark = pytest.mark.timeout(120)


def interface(**options):
    settings = CloudEventsPlugin(CloudEventsOptions("urn:gateway:1", "org.example."))
    events = evframe.EventInterface(plugins={"kafka": KafkaTransport(Options(**options)), "cloudevents": settings})
    events.register_event("E_TEST")
    return events


def read_by_the_sdk(record):
    return from_kafka_event(KafkaMessage(dict(record.headers), record.key, record.value))


@pytest.mark.parametrize("format_", ["cloudevents", "cloudevents-structured"])
async def test_records_are_read_by_the_sdk(kafka, format_):
    """The attributes are in headers `ce_`, or in the value; headers, key and topic of the socket are as ever."""
    topic = await make_topic(kafka)
    async with interface(format=format_) as events:
        events.trace_by(ByParameter())
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}?key=n&header.site=a")
        traced = {"n": 7, "headers": {"traceparent": PARENT}}
        for params in (*PARAMS, traced):
            assert (await events.raise_event_and_wait("E_TEST", params))[0].reason is None
    records = await records_in(kafka, topic)
    read = [read_by_the_sdk(record) for record in records]

    *plain, without_data, with_context = read
    assert [event.get_data() for event in (*plain, with_context)] == [*PARAMS[:3], traced]
    assert records[3].value is not None  # which would delete records of a compacted topic
    assert without_data.get_datacontenttype() is None
    assert {(event.get_type(), event.get_source()) for event in read} == {("org.example.E_TEST", "urn:gateway:1")}
    assert len({event.get_id() for event in read}) == len(read)
    assert [event.get_extension("traceparent") for event in read] == [None] * 4 + [PARENT]
    headers = [dict(record.headers) for record in records]
    assert [(record.key, own["site"]) for record, own in zip(records, headers, strict=True)] == [
        (b"1", b"a"),
        *[(None, b"a")] * 3,
        (b"7", b"a"),
    ]
    assert headers[4]["traceparent"] == PARENT.encode()
    assert {("ce_type" in own) for own in headers} == {format_ == "cloudevents"}
    kinds = {own.get("content-type", b"").partition(b";")[0] for own in headers}
    assert kinds == ({b"application/json", b""} if format_ == "cloudevents" else {b"application/cloudevents+json"})


@pytest.mark.parametrize("site", ["a", "{n}"], ids=["fixed", "of a parameter"])
@pytest.mark.parametrize("carried", [None, [{"traceparent": PARENT}, None]], ids=["plain", "traced"])
@pytest.mark.parametrize("format_", ["cloudevents", "cloudevents-structured"])
def test_a_header_that_the_socket_names_is_the_socket_s(format_, carried, site):
    """No record has two headers of one name, in any format, with a context and without."""
    socket = parse(f"127.0.0.1:1/t?header.content-type=x&header.ce_source=y&header.site={site}")
    definition = evframe.EventDefinition(0, "E_TEST")
    batch = evframe.Batch([definition.snapshot({"n": number}, 1.0) for number in range(2)])
    contents = contents_of(socket, batch, carried, Formats(format_, is_binary=True))
    made = contents.headers(range(2)) or [contents.same_headers()] * 2
    names = {"content-type", "ce_source", "site"}
    binary = {"ce_specversion", "ce_type", "ce_id", "ce_time"}
    if format_ == "cloudevents":
        names |= binary
    traced = {"traceparent", *(("ce_traceparent",) if format_ == "cloudevents" else ())} if carried else set()
    assert [sorted(name for name, _ in own) for own in made] == [sorted(names | traced), sorted(names)]
    assert all(dict(own)["content-type"] == b"x" and dict(own)["ce_source"] == b"y" for own in made)


async def test_a_rule_for_a_topic(kafka):
    """A subscriber that no rule matches gets the notification, without headers."""
    topics = [await make_topic(kafka), await make_topic(kafka)]
    async with interface(formats=[BinaryFormatOptions(f"*/{topics[0]}", "cloudevents")]) as events:
        for topic in topics:
            events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}")
        for number in range(3):
            await events.raise_event_and_wait("E_TEST", [number])
    first, second = [await records_in(kafka, topic) for topic in topics]
    assert [read_by_the_sdk(record).get_data() for record in first] == [[0], [1], [2]]
    assert [(record.value, record.headers) for record in second] == [
        (b'{"jsonrpc":"2.0","method":"E_TEST","params":[%d]}' % number, ()) for number in range(3)
    ]
