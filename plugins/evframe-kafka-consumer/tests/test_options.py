"""The options of the plugin."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from evframe_kafka_clients.consuming import KNOWN, OPTIONS, consumer_option, for_a_producer, settings
from evframe_kafka_clients.unmapped import HELD, IGNORED, REFUSED
from evframe_kafka_consumer import ConnectionOptions, KafkaConsumer, Options

import evframe
from evframe.config import Config


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("topics", [], "topic_pattern: expected either topics or a topic_pattern, got None"),
        ("topic_pattern", "t.*", "topic_pattern: expected either topics or a topic_pattern, got 't.*'"),
        ("brokers", "", "brokers: expected brokers as host[:port],…, got ''"),
        ("brokers", "a,b:x", "brokers: expected brokers as host[:port],…, got 'b:x'"),
        ("brokers", "a:70000", "brokers: expected brokers as host[:port],…, got 'a:70000'"),
        ("event", "", "event: expected an event name of 1 to 64 bytes, got ''"),
        ("max_in_flight", 0, "max_in_flight: expected 1 or more, got 0"),
        ("on_failure", "dead_letter", "on_failure: expected a dead_letter_topic for 'dead_letter', got none"),
        ("on_refused", "dead_letter", "on_refused: expected a dead_letter_topic for 'dead_letter', got none"),
        ("dead_letter_topic", "t", "dead_letter_topic: expected a topic that is not consumed itself, got 't'"),
        ("password_file", "/no/such/file", "password_file: expected a file that can be read, got '/no/such/file'"),
        (
            "properties",
            {"nosuch": 1},
            "properties: expected a property that is known, got 'nosuch'; known are client.id",
        ),
        ("properties", {"session.timeout.ms": "x"}, "properties: property 'session.timeout.ms': expected a number"),
        ("properties", {"sasl.password": 1}, "properties: property 'sasl.password': expected a text"),
        (
            "properties",
            {"sasl.mechanism": "OAUTHBEARER"},
            "properties: expected one of the properties sasl.oauthbearer.token.file",
        ),
        ("properties", {"security.protocol": "TLS"}, "properties: property 'security.protocol': expected one of PLAIN"),
    ],
)
def test_bad_option(option, value, problem):
    """Each option says what it takes."""
    with pytest.raises(ValueError) as raised:
        ConnectionOptions(**{"topics": ["t"], option: value})

    assert str(raised.value).startswith(problem)


def test_a_pattern_of_topics_leaves_the_dead_letters_out():
    """A pattern matches from the beginning of a topic: dead letters in such a topic would become dead letters again."""
    with pytest.raises(ValueError, match=r"dead_letter_topic: .*, got 'calls\.dead'"):
        ConnectionOptions(topic_pattern="calls", dead_letter_topic="calls.dead")
    ConnectionOptions(topic_pattern="calls$", dead_letter_topic="calls.dead")


def test_a_url_with_a_password():
    """The URL of tokens is refused with a password in it, which the error does not show."""
    with pytest.raises(ValueError, match="expected an http: or https: URL without a password$"):
        ConnectionOptions(topics=["t"], properties={"sasl.oauthbearer.token.endpoint.url": "https://u:sesame@h/"})


def test_bad_pattern():
    """A pattern is a regular expression."""
    with pytest.raises(ValueError, match="topic_pattern: expected a regular expression, got '\\['"):
        ConnectionOptions(topic_pattern="[")


def test_names():
    """A connection is called by its topics unless it has a name, and no two of them the same."""
    assert ConnectionOptions(topics=["a", "b"]).name == "a,b"
    assert ConnectionOptions(topic_pattern="a.*").name == "a.*"
    with pytest.raises(ValueError, match="connections: expected a name of its own for each, got 't' twice"):
        Options(connections=[ConnectionOptions(topics=["t"]), ConnectionOptions(topics=["t"])])


def test_brokers_have_ports():
    """The port is 9092 where none is given."""
    assert ConnectionOptions(topics=["t"], brokers="a, b:1,[::1],[::1]:2").endpoints == (
        ("a", 9092),
        ("b", 1),
        ("::1", 9092),
        ("::1", 2),
    )


def test_properties(kafka):
    """The names of librdkafka stand for options of the library; those of TLS for a context."""
    made = settings(
        {
            "security.protocol": "sasl_ssl",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "u",
            "sasl.password": "sesame",
            "ssl.ca.location": str(kafka.certificate),
            "session.timeout.ms": 6000,
            "fetch.min.bytes": "7",
            "check.crcs": False,
        }
    )
    assert made.pop("ssl_context").get_ca_certs()
    assert made == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "u",
        "sasl_plain_password": "sesame",
        "session_timeout_ms": 6000,
        "fetch_min_bytes": 7,
        "check_crcs": False,
    }
    assert set(for_a_producer(made)) == {
        "security_protocol",
        "sasl_mechanism",
        "sasl_plain_username",
        "sasl_plain_password",
    }
    with pytest.raises(ValueError, match="check.crcs"):
        consumer_option("check.crcs", 1)
    assert settings({"partition.assignment.strategy": "Range, roundrobin"}) == {
        "partition_assignment_strategy": (RangePartitionAssignor, RoundRobinPartitionAssignor)
    }


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("partition.assignment.strategy", "range", ("range",)),
        ("partition.assignment.strategy", "Range, roundrobin", ("range", "roundrobin")),
        ("topic.metadata.refresh.interval.ms", -1, 2**31 - 1),
        ("connections.max.idle.ms", 0, None),
        ("ssl.endpoint.identification.algorithm", "none", "none"),
        ("enable.ssl.certificate.verification", False, False),
        ("ssl.cipher.suites", "ECDHE+AESGCM", "ECDHE+AESGCM"),
        ("ssl.ca.pem", "x", "x"),
    ],
)
def test_a_property_stands_for_an_option_of_the_library(name, value, option):
    """What the library has in another form is converted."""
    assert consumer_option(name, value)[1] == option


@pytest.mark.parametrize("name", sorted({*(name for names in IGNORED.values() for name in names)} - {*KNOWN, *OPTIONS}))
def test_a_property_without_a_meaning_here_is_accepted(name):
    """What librdkafka does in its own way, or a producer does, is no reason to refuse a connection."""
    assert consumer_option(name, 1) is None
    assert settings({name: 1}) == {}


@pytest.mark.parametrize(("name", "value"), [(name, held) for name, (held, _) in HELD.items()])
def test_a_property_that_says_what_happens_anyway_is_accepted(name, value):
    """Its own value changes nothing; another one would, and is refused with the reason."""
    assert consumer_option(name, {"true": True, "false": False}.get(value, value)) is None
    with pytest.raises(ValueError, match=f"property '{name}': expected {value}, because"):
        consumer_option(name, "other")


@pytest.mark.parametrize(
    ("name", "value"),
    [*((name, 0) for name in (*REFUSED, *OPTIONS)), ("partition.assignment.strategy", "cooperative-sticky")],
)
def test_a_property_that_would_change_what_happens_is_refused(name, value):
    """The error says what is expected instead, an option of the connection where there is one."""
    instead = f"the option {OPTIONS[name]} of" if name in OPTIONS else ""
    with pytest.raises(ValueError, match=f"property '{name}': expected {instead}"):
        consumer_option(name, value)


def test_every_property_is_on_the_page():
    """What has an effect, and what an option takes the place of, is on the page of the plugin."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "plugins" / "kafka-consumer.md").read_text()

    assert [name for name in (*KNOWN, *OPTIONS) if f"`{name}`" not in page] == []


def test_properties_without_an_effect_are_logged_at_the_start(caplog):
    """A connection with such properties is one line, which names them."""
    options = Options(connections=[ConnectionOptions(topics=["t"], properties={"debug": "all", "acks": 1})])
    evframe.EventInterface(plugins={"kafka-consumer": KafkaConsumer(options)})

    (warning,) = [record for record in caplog.records if record.message == "properties have no effect"]
    assert (warning.connection, warning.properties) == ("t", ["acks", "debug"])


def test_secrets_are_not_shown():
    """The text of the options has no property."""
    options = ConnectionOptions(topics=["t"], properties={"sasl.password": "sesame"})

    assert "sesame" not in repr(options)


def test_events_are_declared():
    """The event of plain records has the value, the topic and the key."""
    options = Options(connections=[ConnectionOptions(topics=["t"], event="E_T"), ConnectionOptions(topics=["rpc"])])
    events = evframe.EventInterface(plugins={"kafka-consumer": KafkaConsumer(options)})
    (definition,) = events.events

    assert list(definition.params) == ["body", "topic", "key"]


def consuming(**properties):
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"kafka-consumer"})
    connection = {"topics": ["t"], "brokers": "127.0.0.1:1", "properties": properties}
    return Config(disable=others, plugins={"kafka-consumer": {"connections": [connection]}})


async def test_references_in_properties(monkeypatch):
    """Passwords among the properties take references, and a reload takes their other values for the next connection."""
    monkeypatch.setenv("PW", "sesame")
    secret = {"sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "${env:PW}"}
    async with evframe.EventInterface(consuming(**secret)) as events:
        consumer = events.plugin("kafka-consumer").consumers["t"]
        assert (await consumer._made())["sasl_plain_password"] == "sesame"
        assert "sesame" not in f"{consumer.options!r}{consumer.listed()}"
        monkeypatch.setenv("PW", "mellon")
        assert events.reload(consuming(**secret)).plugins == ["kafka-consumer"]
        assert (await consumer._made())["sasl_plain_password"] == "mellon"
        with pytest.raises(
            evframe.ConfigError, match="expected the same options as before, they change with a restart"
        ):
            events.reload(consuming(**{**secret, "sasl.username": "v"}))


def test_a_reference_that_does_not_fit(monkeypatch):
    """The error has the path and the reference, and no value."""
    monkeypatch.setenv("PW", "sesame")
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.EventInterface(consuming(**{"sasl.mechanism": "${env:PW}"}))
    (problem,) = caught.value.problems
    path = "plugins.kafka-consumer.connections[0].properties"
    assert problem.startswith(f"{path}: property 'sasl.mechanism': expected one of PLAIN")
    assert problem.endswith("got '${env:PW}'")
