"""The options of the plugin."""

from importlib.metadata import entry_points

import pytest
from evframe_mqtt_consumer import ConnectionOptions, MqttConsumer, Options

import evframe
from evframe.config import Config


def options_of(**values):
    return ConnectionOptions(**{"filters": ["a"], "client_id": "me", **values})


@pytest.mark.parametrize(
    "text", ["a", "#", "+", "a/+/b", "a/#", "/a", "a//", "+/+", "$share/group/a/#", "$SYS/#", "grün/ "]
)
def test_filters(text):
    """A filter may have wildcards for whole levels, and be shared."""
    assert options_of(filters=[text]).filters == [text]


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("filters", [], "filters: expected a topic filter"),
        ("filters", [""], "filters: expected a topic filter"),
        ("filters", ["a/#/b"], "filters: expected a topic filter"),
        ("filters", ["a+"], "filters: expected a topic filter"),
        ("filters", ["a/b#"], "filters: expected a topic filter"),
        ("filters", ["$share/g"], "filters: expected a topic filter"),
        ("filters", ["$share/+/a"], "filters: expected a topic filter"),
        ("filters", ["a\0"], "filters: expected a topic filter"),
        ("filters", ["x" * 65536], "filters: expected a topic filter"),
        ("client_id", "", "client_id: expected a text"),
        ("client_id", "a\n", "client_id: expected a text"),
        ("uri", "http://host/", "uri: expected mqtt[s]://[user[:password]@]host[:port], got another text"),
        ("uri", "mqtt://u:sesame@host/topic", "uri: expected mqtt[s]://"),
        ("uri", "mqtt://u:sesame@host:99999999", "uri: expected mqtt[s]://"),
        ("uri", "mqtt://u:sesame@", "uri: expected mqtt[s]://"),
        ("event", "E" * 65, "event: expected an event name of at most 64 bytes"),
        ("max_events", -1, "max_events: expected 0 or more, got -1"),
        ("receive_max", 0, "receive_max: expected 1 to 65535, got 0"),
        ("session_expiry_s", 2**32, "session_expiry_s: expected 0 to 4294967295"),
        ("keepalive_s", 70_000, "keepalive_s: expected 0 to 65535, got 70000"),
        ("password_file", "/no/such/file", "password_file: expected a file that can be read, got '/no/such/file'"),
        ("ca_file", "/no/such/file", "ca_file: expected a file that can be read"),
        ("retry_delay_ms", 0, "retry_delay_ms: expected 1 or more, got 0"),
    ],
)
def test_bad_option(option, value, problem):
    """Each option says what it takes, without a password."""
    with pytest.raises(ValueError) as raised:
        options_of(**{option: value})
    assert str(raised.value).startswith(problem)
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize(
    ("uri", "endpoint", "credentials", "address"),
    [
        ("mqtt://h", ("h", 1883), (None, None), "mqtt://h"),
        ("mqtts://h/", ("h", 8883), (None, None), "mqtts://h"),
        ("mqtt://u%40x:p%3Aw@h:7", ("h", 7), ("u@x", "p:w"), "mqtt://u%40x@h:7"),
        ("mqtt://:p@[::1]", ("::1", 1883), (None, "p"), "mqtt://@[::1]"),
        ("mqtt://u@[::1]:7", ("::1", 7), ("u", None), "mqtt://u@[::1]:7"),
    ],
)
def test_uris(uri, endpoint, credentials, address):
    """A URI has the server and the login, and its text without the password is shown."""
    options = options_of(uri=uri)
    assert (options.endpoint, options.credentials, options.address) == (endpoint, credentials, address)
    assert "p%3Aw" not in repr(options)


def test_names_are_different():
    """Two connections cannot have the same name, which is that of the session unless another one is given."""
    with pytest.raises(ValueError, match="connections: expected a name"):
        Options(connections=[options_of(), options_of()])
    Options(connections=[options_of(), options_of(name="second")])


def test_events_are_declared():
    """The event of plain messages has their bodies and topics."""
    options = Options(connections=[options_of(event="E_T"), options_of(client_id="rpc")])
    events = evframe.EventInterface(plugins={"mqtt-consumer": MqttConsumer(options)})
    (definition,) = events.events
    assert (definition.name, list(definition.params)) == ("E_T", ["body", "topic"])


def test_references_in_uris(monkeypatch):
    """A reference in a URI is replaced by its value, which no text shows."""
    monkeypatch.setenv("PW", "p@w")
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"mqtt-consumer"})
    table = {"filters": ["a"], "client_id": "me", "uri": "mqtt://u:${env:PW}@h:1"}
    events = evframe.EventInterface(Config(disable=others, plugins={"mqtt-consumer": {"connections": [table]}}))
    (consumer,) = events.plugin("mqtt-consumer").consumers.values()
    assert consumer.options.credentials == ("u", "p@w")
    assert consumer.options.address == "mqtt://u@h:1"
    assert "p%40w" not in f"{consumer.options!r}{consumer.listed()}"
