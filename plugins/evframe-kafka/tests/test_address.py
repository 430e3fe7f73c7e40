"""The sockets of the transport, row by row."""

import pytest
from evframe_kafka import parse
from evframe_kafka.properties import producer_option


@pytest.mark.parametrize(
    ("text", "servers", "topic", "canonical"),
    [
        ("h:9092/t", ["h:9092"], "t", "kafka:h:9092/t"),
        ("h/t", ["h:9092"], "t", "kafka:h/t"),
        ("h1:9092,h2/t", ["h1:9092", "h2:9092"], "t", "kafka:h1:9092,h2/t"),
        (" h / t ", [" h :9092"], " t ", "kafka: h / t "),
        ("h/t?g.client.id=x&t.acks=1", ["h:9092"], "t", "kafka:h/t"),
        ("h/t?key=callid", ["h:9092"], "t", "kafka:h/t?key=callid"),
        ("h/t?key=foo", ["h:9092"], "t", "kafka:h/t?key=foo"),
        ("h/t?partition=3&header.x=1&key=a%20b", ["h:9092"], "t", "kafka:h/t?key=a%20b&partition=3&header.x=1"),
        ("[::1]:9093/t", ["[::1]:9093"], "t", "kafka:[::1]:9093/t"),
        ("h/t?g.sasl.password=s%3De%26cret", ["h:9092"], "t", "kafka:h/t"),
    ],
)
def test_accepted_k1_k2_k9(text, servers, topic, canonical):
    """K1, K2, K9: each accepted row; the canonical text says where records go and nothing that is secret."""
    found = parse(text)
    assert (found.servers, found.topic, found.canonical) == (servers, topic, canonical)
    assert "cret" not in repr(found)
    assert parse(canonical.partition(":")[2]).canonical == canonical


def test_values_with_marks_k6():
    """K6: a value may have = and & behind percent signs."""
    assert parse("h/t?g.sasl.password=a%3Db%26c&g.sasl.username=u").options == {
        "sasl_plain_password": "a=b&c",
        "sasl_plain_username": "u",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "h?t",
        "h/",
        "h/t?",
        "h/t/u",
        "/t",
        "h/?g.acks=1",
        "h/t?g.a",
        "h/t?g.acks=1&",
        "h/t?&g.acks=1",
        "h/t?g.a=b=c",
        "h/t?a=b",
        "h/t?=b",
        "h/t?g.nosuch=1",
        "h/t?t.acks=7",
        "h/t?g.linger.ms=x",
        "h/t?g.security.protocol=x",
        "h:x/t",
        "h:0/t",
        "h,,i/t",
        "h/t?partition=x",
        "h/t?key=",
    ],
)
def test_rejected_k3_k5(text):
    """K3, K5: each rejected row is an error, and an unknown property is named."""
    with pytest.raises(ValueError, match="expected"):
        parse(text)


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("acks", "-1", ("acks", "all")),
        ("acks", "0", ("acks", 0)),
        ("message.timeout.ms", "1500", ("request_timeout_ms", 1500)),
        ("linger.ms", "0.5", ("linger_ms", 0)),
        ("compression.codec", "none", ("compression_type", None)),
        ("compression.type", "GZIP", ("compression_type", "gzip")),
        ("enable.idempotence", "true", ("enable_idempotence", True)),
        ("security.protocol", "sasl_ssl", ("security_protocol", "SASL_SSL")),
    ],
)
def test_properties(name, value, option):
    """The names of librdkafka stand for options of the library."""
    assert producer_option(name, value) == option


def test_secrets_are_in_no_error():
    """An error about a secret does not have it."""
    with pytest.raises(ValueError, match="nosuch.password") as caught:
        producer_option("nosuch.password", "sesame")
    assert "sesame" not in str(caught.value)
