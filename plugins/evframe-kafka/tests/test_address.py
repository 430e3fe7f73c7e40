"""The sockets of the transport, row by row."""

import ssl
import subprocess
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from aiokafka import AIOKafkaProducer
from evframe_kafka import KafkaTransport, Options, parse
from evframe_kafka.properties import KNOWN, producer_option
from evframe_kafka.settings import settings_of
from evframe_kafka_clients.tls import with_tls
from evframe_kafka_clients.unmapped import HELD, IGNORED, REFUSED

import evframe
from evframe.testing import until


@pytest.mark.parametrize(
    ("text", "endpoints", "topic", "canonical"),
    [
        ("h:9092/t", (("h", 9092),), "t", "kafka:h:9092/t"),
        ("h/t", (("h", 9092),), "t", "kafka:h/t"),
        ("h1:9092,h2/t", (("h1", 9092), ("h2", 9092)), "t", "kafka:h1:9092,h2/t"),
        (" h / t ", (("h", 9092),), " t ", "kafka: h / t "),
        ("h/t?g.client.id=x&t.acks=1", (("h", 9092),), "t", "kafka:h/t"),
        ("h/t?key=callid", (("h", 9092),), "t", "kafka:h/t?key=callid"),
        ("h/t?key=foo", (("h", 9092),), "t", "kafka:h/t?key=foo"),
        ("h/t?partition=3&header.x=1&key=a%20b", (("h", 9092),), "t", "kafka:h/t?key=a%20b&partition=3&header.x=1"),
        ("[::1]:9093/t", (("::1", 9093),), "t", "kafka:[::1]:9093/t"),
        ("h/t?g.sasl.password=s%3De%26cret", (("h", 9092),), "t", "kafka:h/t"),
        ("h/t?g.client.id=b?c", (("h", 9092),), "t", "kafka:h/t"),
        ("h/t?g.client.id=", (("h", 9092),), "t", "kafka:h/t"),
    ],
)
def test_accepted_k1_k2_k9(text, endpoints, topic, canonical):
    """K1, K2, K9: each accepted row; the canonical text says where records go and nothing that is secret."""
    found = parse(text)
    assert (found.endpoints, found.topic, found.canonical) == (endpoints, topic, canonical)
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
        "h/t?g.nosuch=",
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
        ("acks", "all", ("acks", "all")),
        ("acks", "0", ("acks", 0)),
        ("request.required.acks", "1", ("acks", 1)),
        ("message.timeout.ms", "1500", ("request_timeout_ms", 1500)),
        ("delivery.timeout.ms", "1500", ("request_timeout_ms", 1500)),
        ("linger.ms", "0.5", ("linger_ms", 0)),
        ("queue.buffering.max.ms", "5", ("linger_ms", 5)),
        ("compression.codec", "none", ("compression_type", None)),
        ("compression.type", "GZIP", ("compression_type", "gzip")),
        ("client.id", "x", ("client_id", "x")),
        ("enable.idempotence", "true", ("enable_idempotence", True)),
        ("message.max.bytes", "2000", ("max_request_size", 2000)),
        ("batch.size", "2000", ("max_batch_size", 2000)),
        ("metadata.max.age.ms", "9", ("metadata_max_age_ms", 9)),
        ("topic.metadata.refresh.interval.ms", "9", ("metadata_max_age_ms", 9)),
        ("retry.backoff.ms", "9", ("retry_backoff_ms", 9)),
        ("topic.metadata.refresh.interval.ms", "-1", ("metadata_max_age_ms", 2**31 - 1)),
        ("connections.max.idle.ms", "9", ("connections_max_idle_ms", 9)),
        ("connections.max.idle.ms", "0", ("connections_max_idle_ms", None)),
        ("security.protocol", "sasl_ssl", ("security_protocol", "SASL_SSL")),
        ("sasl.mechanism", "plain", ("sasl_mechanism", "PLAIN")),
        ("sasl.mechanisms", "scram-sha-256", ("sasl_mechanism", "SCRAM-SHA-256")),
        ("sasl.username", "u", ("sasl_plain_username", "u")),
        ("sasl.password", "p", ("sasl_plain_password", "p")),
        ("ssl.ca.location", "/a", ("ca", "/a")),
        ("ssl.certificate.location", "/a", ("certificate", "/a")),
        ("ssl.key.location", "/a", ("key", "/a")),
        ("ssl.key.password", "p", ("key_password", "p")),
        ("ssl.ca.pem", "-----BEGIN", ("ca_pem", "-----BEGIN")),
        ("ssl.cipher.suites", "ECDHE+AESGCM", ("ciphers", "ECDHE+AESGCM")),
        ("ssl.endpoint.identification.algorithm", "NONE", ("identification", "none")),
        ("enable.ssl.certificate.verification", "false", ("verification", False)),
        ("sasl.oauthbearer.method", "oidc", ("oauth_method", "oidc")),
        ("sasl.oauthbearer.token.file", "/t", ("oauth_file", "/t")),
        ("sasl.oauthbearer.token.function", "m:f", ("oauth_function", "m:f")),
        ("sasl.oauthbearer.token.endpoint.url", "https%3A//h", ("oauth_url", "https://h")),
        ("sasl.oauthbearer.client.id", "i", ("oauth_client", "i")),
        ("sasl.oauthbearer.client.credentials.client.id", "i", ("oauth_client", "i")),
        ("sasl.oauthbearer.client.secret", "s", ("oauth_secret", "s")),
        ("sasl.oauthbearer.client.credentials.client.secret", "s", ("oauth_secret", "s")),
        ("sasl.oauthbearer.scope", "a", ("oauth_scope", "a")),
        ("sasl.oauthbearer.extensions", "a%3Db", ("oauth_extensions", "a=b")),
        ("https.ca.location", "/a", ("oauth_ca", "/a")),
    ],
)
async def test_properties_k6(name, value, option):
    """K6: the names of librdkafka stand for options of the library, which takes them."""
    assert producer_option(name, unquote(value)) == option
    settings = settings_of(parse(f"h/t?g.{name}={value}"), Options())
    assert set(settings.items()) >= {option}
    if not name.startswith(("security", "ssl", "enable.ssl", "https", "sasl.oauthbearer")):
        await AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", **settings).stop()


@pytest.mark.parametrize("name", sorted({*(name for names in IGNORED.values() for name in names)} - {*KNOWN}))
def test_a_property_without_a_meaning_here_is_accepted(name):
    """What librdkafka does in its own way, or a consumer does, is no reason to refuse a socket."""
    found = parse(f"h/t?g.{name}=1&t.acks=1")

    assert (found.without_effect, found.options) == ((name,), {"acks": 1})
    assert found.cluster == parse("h/t?t.acks=1").cluster


@pytest.mark.parametrize(("name", "value"), [(name, held) for name, (held, _) in HELD.items()])
def test_a_property_that_says_what_happens_anyway_is_accepted(name, value):
    """Its own value changes nothing, in any case; another one would, and is refused with the reason."""
    assert parse(f"h/t?g.{name}={value.upper()}").without_effect == (name,)
    with pytest.raises(ValueError, match=f"property '{name}': expected {value}, because"):
        parse(f"h/t?g.{name}=other")


@pytest.mark.parametrize("name", [*REFUSED, "bootstrap.servers", "metadata.broker.list"])
def test_a_property_that_would_change_what_happens_is_refused(name):
    """A property that a producer here does not have is refused; the error says what is expected instead."""
    with pytest.raises(ValueError, match=f"property '{name}': expected"):
        parse(f"h/t?g.{name}=0")


@pytest.mark.parametrize("name", ["retries", "message.send.max.retries"])
def test_retries_are_made_until_the_time_limit(name):
    """A number of retries is accepted; none at all, which would drop records, is not."""
    assert parse(f"h/t?g.{name}=3").without_effect == (name,)


@pytest.mark.parametrize("name", ["message.timeout.ms", "delivery.timeout.ms"])
def test_a_record_has_a_time_limit(name):
    """0 is no limit in librdkafka; a record that never comes back would be neither delivered nor failed."""
    with pytest.raises(ValueError, match=f"property '{name}': expected a number above 0"):
        parse(f"h/t?t.{name}=0")


def test_unknown_ciphers_are_refused():
    """Ciphers that OpenSSL does not have are an error when they are subscribed."""
    with pytest.raises(ValueError, match="property 'ssl.cipher.suites': expected ciphers that OpenSSL has"):
        parse("h/t?g.ssl.cipher.suites=NOSUCH")


def test_properties_without_an_effect_are_logged_once(caplog):
    """The first socket with such a property is one line, which names it; a second one is none."""
    events = evframe.EventInterface(plugins={"kafka": KafkaTransport()})
    events.register_event("E_TEST")
    for topic in ("a", "b"):
        events.subscribe_event("E_TEST", f"kafka:h/{topic}?g.debug=all&g.socket.keepalive.enable=true&t.acks=1")

    (warning,) = [record for record in caplog.records if record.message == "properties have no effect"]
    assert warning.properties == ["debug", "socket.keepalive.enable"]
    assert warning.socket == "kafka:h/a"


@pytest.mark.parametrize(
    ("text", "checks_names", "verifies"),
    [
        ("", True, True),
        ("&g.ssl.endpoint.identification.algorithm=https", True, True),
        ("&g.ssl.endpoint.identification.algorithm=none", False, True),
        ("&g.enable.ssl.certificate.verification=false", False, False),
    ],
)
def test_certificates_are_verified_unless_a_property_says_otherwise(text, checks_names, verifies):
    """Names and certificates of brokers are compared, each until it is turned off."""
    context = with_tls(settings_of(parse(f"h/t?g.security.protocol=SSL{text}"), Options()))["ssl_context"]

    assert context.check_hostname is checks_names
    assert (context.verify_mode is ssl.CERT_REQUIRED) is verifies


def test_trusted_certificates_are_a_file_a_folder_or_a_text(kafka, tmp_path):
    """The certificates that are trusted come from any of the three."""
    text = kafka.certificate.read_text()
    for part in (f"ssl.ca.location={kafka.certificate}", f"ssl.ca.pem={quote(text)}"):
        made = with_tls(settings_of(parse(f"h/t?g.security.protocol=SSL&g.{part}"), Options()))
        assert made["ssl_context"].get_ca_certs()
    with_tls(settings_of(parse(f"h/t?g.security.protocol=SSL&g.ssl.ca.location={tmp_path}"), Options()))


def test_every_property_is_tested_and_on_the_page():
    """What is known is in the tests above, and on the page of the transport."""
    tested = {row[0] for row in test_properties_k6.pytestmark[0].args[1]}
    page = (Path(__file__).parents[3] / "docs" / "reference" / "plugins" / "kafka.md").read_text()
    ignored = [name for names in IGNORED.values() for name in names]
    assert tested == set(KNOWN)
    assert [name for name in (*KNOWN, *ignored, *HELD, *REFUSED) if f"`{name}`" not in page] == []
    assert not set(KNOWN) & {*HELD, *REFUSED}
    assert len({*ignored}) == len(ignored)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("h/t?g.enable.idempotence=true&t.acks=1", "'acks'"),
        ("h/t?g.security.protocol=SASL_PLAINTEXT", "'sasl.mechanism'"),
        ("h/t?g.security.protocol=SASL_SSL&g.sasl.mechanism=PLAIN", "'sasl.username'"),
        (
            "h/t?g.security.protocol=SASL_SSL&g.sasl.mechanism=PLAIN&g.sasl.username=u",
            "'sasl.password'",
        ),
        ("h/t?g.nosuch.thing=1", "'nosuch.thing'"),
    ],
)
def test_properties_that_do_not_go_together_k6(text, named):
    """K6: what no producer could be made of is an error at the subscription, which names the property."""
    events = evframe.EventInterface(plugins={"kafka": KafkaTransport()})
    events.register_event("E_TEST")
    with pytest.raises(evframe.SocketError, match=named):
        events.subscribe_event("E_TEST", f"kafka:{text}")
    assert events.subscriptions == []


def test_key_with_a_password(tmp_path):
    """A key is opened with its password; a wrong one, or none, is an error, and no question is asked at a terminal."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:sesame", "-days", "2", "-subj", "/CN=x"]
    subprocess.run(["openssl", *words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    text = f"h/t?g.security.protocol=SSL&g.ssl.certificate.location={certificate}&g.ssl.key.location={key}"

    with_tls(settings_of(parse(f"{text}&g.ssl.key.password=sesame"), Options()))
    for wrong in ("", "&g.ssl.key.password=simsim"):
        with pytest.raises(OSError, match="SSL") as caught:
            with_tls(settings_of(parse(text + wrong), Options()))
        assert "simsim" not in str(caught.value)


@pytest.mark.parametrize("name", ["ssl.ca.location", "ssl.certificate.location"])
async def test_files_are_read_when_a_producer_is_made(caplog, tmp_path, name):
    """A subscription reads no file; without its certificates the subscriber is away, and the log names the file."""
    events = evframe.EventInterface(plugins={"kafka": KafkaTransport()})
    events.register_event("E_TEST")
    async with events:
        file = tmp_path / "nosuch.pem"
        text = f"kafka:127.0.0.1:1/t?g.security.protocol=SSL&g.{name}={file}&g.ssl.key.password=sesame"
        subscriber = events.subscribe_event("E_TEST", text).subscriber
        events.raise_event("E_TEST")
        await until(lambda: subscriber.attempts)
        assert (subscriber.depth, subscriber.failed) == (1, 0)
        events.unsubscribe_event("E_TEST", text)
    (warning,) = [record for record in caplog.records if record.message == "certificates cannot be used"]
    assert warning.files == [str(file)]
    assert "sesame" not in str(vars(warning))


def test_secrets_are_in_no_error():
    """An error about a secret does not have it."""
    with pytest.raises(ValueError, match="nosuch.password") as caught:
        producer_option("nosuch.password", "sesame")
    assert "sesame" not in str(caught.value)
