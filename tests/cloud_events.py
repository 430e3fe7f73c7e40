"""CloudEvents as the official SDK makes them, and messages that only say that they are some."""

from cloudevents.core.bindings import amqp, http, kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

LARGE = "x" * 20_000


def made(number, name="E_N", **more):
    """Return the event *name* with the parameter `n`."""
    attributes = {
        "type": f"org.example.{name}",
        "source": "/a",
        "id": str(number),
        "datacontenttype": "application/json",
    }
    return CloudEvent(attributes | more, {"n": number, **({"text": LARGE} if number % 2 else {})})


def kafka_messages(*events):
    """Return the headers and the value of each event, in turn binary and structured."""
    for number, event in enumerate(events):
        message = (kafka.to_structured if number % 2 else kafka.to_binary)(event, JSONFormat())
        yield list(message.headers.items()), message.value


def amqp_messages(*events):
    """Return the content type, the headers and the body of each event, in turn binary, binary and structured."""
    for number, event in enumerate(events):
        message = (amqp.to_structured if number % 3 == 2 else amqp.to_binary)(event, JSONFormat())
        headers = dict(message.application_properties)
        if number % 3 == 1:
            headers = {name.replace("cloudEvents_", "cloudEvents:"): value for name, value in headers.items()}
        yield message.properties["content-type"], headers, message.application_data


def _modes(events, binary):
    """Return each event, in turn binary, structured, and structured without a content type."""
    for number, event in enumerate(events):
        if number % 3 == 0:
            yield binary(event)
        else:
            message = http.to_structured(event, JSONFormat())
            yield message.headers["content-type"] if number % 3 == 1 else None, {}, message.body


def mqtt_messages(*events):
    """Return the content type, the user properties and the body of each event; see `_modes`.

    The attributes have the same text as in Kafka, and no prefix.
    """

    def binary(event):
        message = kafka.to_binary(event, JSONFormat())
        attributes = {name[3:]: text.decode() for name, text in message.headers.items() if name.startswith("ce_")}
        return message.headers["content-type"].decode(), attributes, message.value

    return _modes(events, binary)


def nats_messages(*events):
    """Return the content type, the other headers and the body of each event; see `_modes`.

    The headers are those of HTTP.
    """

    def binary(event):
        message = http.to_binary(event, JSONFormat())
        headers = dict(message.headers)
        return headers.pop("content-type"), headers, message.body

    return _modes(events, binary)


UNREADABLE = [
    ("application/cloudevents+json", {}, b'{"specversion":"1.0"}'),
    ("application/cloudevents+json", {}, b'{"jsonrpc":"2.0","method":"E_N","params":{"n":1}}'),
    ("application/cloudevents+avro", {}, b"\x00"),
    ("application/json", {"ce_specversion": "2.0"}, b'{"n":1}'),
    ("text/plain", {"ce_specversion": "1.0", "ce_id": "1", "ce_type": "E_N", "ce_source": "/a"}, b"plain"),
]
"""Content type, headers and body of messages that become no event with a name."""
