"""The options of the plugin."""

import pytest
from evframe_kafka_consumer import ConnectionOptions, KafkaConsumer, Options
from evframe_kafka_consumer.properties import consumer_option, for_a_producer, settings

import evframe


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
        ("password_file", "/no/such/file", "password_file: expected a file that can be read, got '/no/such/file'"),
        (
            "properties",
            {"nosuch": 1},
            "properties: expected a property that is known, got 'nosuch'; known are client.id",
        ),
        ("properties", {"session.timeout.ms": "x"}, "properties: property 'session.timeout.ms': expected a number"),
        ("properties", {"sasl.password": 1}, "properties: property 'sasl.password': expected a text"),
        ("properties", {"security.protocol": "TLS"}, "properties: property 'security.protocol': expected one of PLAIN"),
    ],
)
def test_bad_option(option, value, problem):
    """Each option says what it takes."""
    with pytest.raises(ValueError) as raised:
        ConnectionOptions(**{"topics": ["t"], option: value})

    assert str(raised.value).startswith(problem)


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
