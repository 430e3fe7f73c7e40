"""Reading CloudEvents: those of the SDK and of the envelope, and what is none."""

import json

import pytest
from cloudevents.core.bindings import amqp, http, kafka, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from evframe_cloudevents import NotACloudEvent, read_body, read_message, read_structured

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ATTRIBUTES = {"type": "org.example.E_A", "source": "/a", "id": "1", "traceparent": PARENT}


def messages(data):
    """Return the content type, the headers and the body of one event in each form that the SDK makes."""
    event = CloudEvent(dict(ATTRIBUTES) | ({} if data is None else {"datacontenttype": "application/json"}), data)
    form = JSONFormat()
    found = {}
    for mode in ("binary", "structured"):
        made = getattr(http, f"to_{mode}")(event, form)
        found["http", mode] = made.headers.get("content-type"), made.headers, made.body
        made = getattr(kafka, f"to_{mode}")(event, form)
        kind = made.headers.get("content-type")
        found["kafka", mode] = kind and kind.decode(), made.headers, made.value
        made = getattr(amqp, f"to_{mode}")(event, form)
        found["amqp", mode] = made.properties.get("content-type"), made.application_properties, made.application_data
        made = getattr(rabbitmq, f"to_{mode}")(event, form)
        found["rabbitmq", mode] = made.content_type, made.headers, made.body
    return found


@pytest.mark.parametrize("data", [{"n": 1, "é": ["€"]}, [1, 2], {}])
@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("protocol", ["http", "kafka", "amqp", "rabbitmq"])
def test_what_the_sdk_makes_is_read(protocol, mode, data):
    """Each protocol names the attributes in another way; the type without the prefix is the event's name."""
    found = read_message(*messages(data)[protocol, mode])
    assert found is not None
    assert (found.name("org.example."), found.name("other."), found.params) == ("E_A", "org.example.E_A", data)
    assert (found.source, found.id, found.carried) == ("/a", "1", {"traceparent": PARENT})


def structured(**changes):
    return json.dumps({"specversion": "1.0", "type": "E_A", "source": "/a", "id": "1", **changes}).encode()


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("org.example.E_%E2%82%AC", "E_€"),
        ("E_50%25", "E_50%"),
        ("E_%41%20%22", 'E_A "'),
        ("E_%ZZ%", "E_%ZZ%"),
        ("E_%FF", "E_\ufffd"),
        ('"E_A%20\\"\\\\"', 'E_A "\\'),
        ('"', '"'),
    ],
)
def test_headers_of_http_are_decoded(header, text):
    """Header values of HTTP are encoded with percent signs, or in quotation marks by older senders; others are not."""
    plain = json.loads(structured())
    found = read_message(None, {f"Ce-{name}": value for name, value in (plain | {"type": header}).items()}, b"")
    assert found.name("org.example.") == text
    for prefix in ("ce_", "cloudEvents:", "cloudEvents_"):
        headers = {prefix + name: value for name, value in (plain | {"type": header}).items()}
        assert read_message(None, headers, b"").type == header


@pytest.mark.parametrize("kind", ["text/json", "application/vnd.example+json; charset=utf-8", "Application/JSON"])
def test_types_of_json(kind):
    """Data are JSON by the subtype of their content type."""
    assert read_structured(structured(datacontenttype=kind, data={"n": 1})).params == {"n": 1}
    headers = {f"ce_{name}": value for name, value in json.loads(structured()).items()}
    assert read_message(kind, headers, b'{"n":1}').params == {"n": 1}


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "datacontenttype"])
@pytest.mark.parametrize(("head", "tail"), [(b"[", b"]"), (b'{"a":', b"}"), (b'"' + b"x" * 1_000_000, b'"')])
def test_problems_are_short(name, head, tail):
    """However long or deep an attribute is, the problem that the log has is short."""
    count = 1 if len(head) > 9 else 995
    value = head * count + b"1" * (head[:1] == b"{") + tail * count
    body = structured().replace(b"}", b',"%b":%b}' % (name.encode(), value))
    if name in {"source", "id", "type"} and len(head) > 9:
        assert len(getattr(read_structured(body), name)) == 1_000_000
        return
    with pytest.raises(NotACloudEvent) as caught:
        read_structured(body)
    assert len(str(caught.value)) < 1000


def test_no_data_are_no_parameters():
    """An event without data has no parameters, in both modes."""
    assert read_structured(structured()).params is None
    headers = {f"ce_{name}": value for name, value in json.loads(structured()).items()}
    assert read_message(None, headers, b"").params is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "expected JSON"),
        (b"[]", "expected a JSON object, got list"),
        (b"7", "expected a JSON object, got int"),
        (structured(specversion="0.3"), "expected specversion 1.0, got '0.3'"),
        (structured(specversion=1.0), "expected specversion 1.0, got 1.0"),
        (structured(type=None), "expected a text as the attribute type, got None"),
        (structured(id=""), "expected a text as the attribute id, got ''"),
        (structured(source=[1]), "expected a text as the attribute source"),
        (structured(data="text"), "expected parameters in an object or an array, got str"),
        (structured(data_base64="AA=="), "expected data in JSON, got data_base64"),
        (structured(datacontenttype="text/plain", data={}), "expected data of application/json, got 'text/plain'"),
        (structured(datacontenttype=7, data={}), "expected data of application/json, got 7"),
    ],
)
def test_what_is_no_cloud_event(body, problem):
    """What cannot be read is refused with what was expected."""
    with pytest.raises(NotACloudEvent) as caught:
        read_message("application/cloudevents+json; charset=utf-8", {}, body)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("kind", "changes", "body"),
    [
        ("application/cloudevents+avro", {}, b"{}"),
        ("application/cloudevents-batch+json", {}, b"[]"),
        ("text/plain", {}, b"{}"),
        ("application/json", {}, b"{"),
        ("application/json", {"ce_id": b"\xff"}, b"{}"),
        ("application/json", {"ce_specversion": "2.0"}, b"{}"),
    ],
)
def test_messages_that_are_none(kind, changes, body):
    """A message that says that it is a CloudEvent, and is none that can be read, is refused."""
    headers = {f"ce_{name}": value for name, value in json.loads(structured()).items()} | changes
    with pytest.raises(NotACloudEvent):
        read_message(kind, headers, body)


@pytest.mark.parametrize("headers", [None, {}, {"x": 1, "ce_": "1.0", "traceparent": PARENT}])
def test_other_messages(headers):
    """A message that does not say that it is a CloudEvent is none."""
    assert read_message("application/json", headers, b"{}") is None
    assert read_message(None, headers, structured()) is None


def test_attributes_without_a_prefix():
    """MQTT has the attributes by their own names; their values are not decoded."""
    plain = json.loads(structured(type="E_%41"))
    assert read_message("application/json", plain, b'{"n":1}', ("",)).type == "E_%41"
    assert read_message("application/json", plain, b'{"n":1}') is None


def test_the_content_type_among_the_attributes():
    """It counts where the message has no other one."""
    headers = {f"ce-{name}": value for name, value in json.loads(structured(datacontenttype="text/plain")).items()}
    with pytest.raises(NotACloudEvent):
        read_message(None, headers, b"[1]")
    assert read_message("application/json", headers, b"[1]").params == [1]


def test_a_body_without_a_content_type():
    """The attribute `specversion` says that an object is a CloudEvent; anything else is none."""
    assert read_body(structured(data=[1])).params == [1]
    for body in (b"", b'"specversion"', b'{"specversion"', b'{"a":{"specversion":"1.0"}}', b'["specversion"]'):
        assert read_body(body) is None
    with pytest.raises(NotACloudEvent):
        read_body(b'{"specversion":"1.0","type":"E_A","source":"/a"}')
