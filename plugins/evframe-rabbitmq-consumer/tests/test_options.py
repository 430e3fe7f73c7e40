"""The options of the plugin."""

import logging
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from brokers import certificates
from evframe_rabbitmq_consumer import ConnectionOptions, Options, RabbitmqConsumer
from processes import child

import evframe
from evframe import EventInterface
from evframe.config import Config


def consuming(uri):
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"rabbitmq-consumer"})
    return Config(disable=others, plugins={"rabbitmq-consumer": {"connections": [{"queue": "q", "uri": uri}]}})


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("queue", "", "queue: expected 1 to 255 bytes, got ''"),
        ("uri", "http://host/", "uri: expected amqp[s]://[user[:password]@]host[:port][/vhost], got another text"),
        ("uri", "amqp://u:sesame@host/?heartbeat=1", "uri: expected amqp[s]://"),
        ("uri", "amqp://u:sesame@host:99999999/", "uri: expected amqp[s]://"),
        ("event", "E" * 65, "event: expected an event name of at most 64 bytes"),
        ("max_events", -1, "max_events: expected 0 or more, got -1"),
        ("prefetch", 0, "prefetch: expected 1 to 65535, got 0"),
        ("heartbeat_s", 70_000, "heartbeat_s: expected 0 to 65534, got 70000"),
        ("password_file", "/no/such/file", "password_file: expected a file that can be read, got '/no/such/file'"),
        ("ca_file", "/no/such/file", "ca_file: expected a file that can be read"),
        ("requeue_delay_ms", 0, "requeue_delay_ms: expected 1 or more, got 0"),
    ],
)
def test_bad_option(option, value, problem):
    """Each option says what it takes, without a password."""
    with pytest.raises(ValueError) as raised:
        ConnectionOptions(**{"queue": "q", option: value})

    assert str(raised.value).startswith(problem)
    assert "sesame" not in str(raised.value)


def test_names_are_different():
    """Two connections cannot have the same name, which is that of the queue unless another one is given."""
    with pytest.raises(ValueError, match="connections: expected a name of its own for each, got 'Q' twice"):
        Options(connections=[ConnectionOptions(queue="q"), ConnectionOptions(queue="Q")])
    Options(connections=[ConnectionOptions(queue="q"), ConnectionOptions(queue="q", name="second")])


def test_passwords_are_not_shown():
    """Neither the text of the options nor that of the broker has the password."""
    options = ConnectionOptions(queue="q", uri="amqps://u:sesame@broker.example/voip")

    assert "sesame" not in f"{options!r} {options.address}"
    assert options.address == "amqps://u@broker.example/voip"


def test_events_are_declared():
    """The event of plain messages is declared as in the original; a JSON-RPC queue needs none."""
    options = Options(connections=[ConnectionOptions(queue="q", event="E_Q"), ConnectionOptions(queue="rpc")])
    events = evframe.EventInterface(plugins={"rabbitmq-consumer": RabbitmqConsumer(options)})
    (definition,) = events.events

    assert definition.name == "E_Q"
    assert list(definition.params) == ["body"]
    events.raise_event("E_Q", {"body": "text"})
    with pytest.raises(evframe.ParameterError):
        events.raise_event("E_Q", {"other": "text"})


@pytest.mark.parametrize(
    ("uri", "used", "shown"),
    [
        ("amqp://u:${env:PW}@h:1/v", "amqp://u:p%40w@h:1/v", "amqp://u@h:1/v"),
        ("amqp://${env:PW}:x@h:1/v", "amqp://p%40w:x@h:1/v", "amqp://${env:PW}@h:1/v"),
        ("${env:URI}", "amqp://me:sesame@there/", "${env:URI}"),
    ],
)
async def test_references_in_the_uri(monkeypatch, caplog, uri, used, shown):
    """The library gets the values; listings and statuses have the references."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PW", "p@w")
    monkeypatch.setenv("URI", "amqp://me:sesame@there/")
    async with EventInterface(consuming(uri)) as events:
        consumer = events.plugin("rabbitmq-consumer").consumers["q"]
        assert (str(consumer.options.uri), consumer.listed()["broker"]) == (used, shown)
        texts = [caplog.text, repr(consumer.options), str(consumer.listed())]
        texts += [str(each.details) for each in events.status.group("rabbitmq-consumer")]
    assert not any(value in text for value in ("p@w", "p%40w", "sesame") for text in texts)


async def test_a_reload_takes_other_values_of_secrets(monkeypatch):
    """The next login uses them; whatever else changes needs a restart."""
    monkeypatch.setenv("PW", "one")
    uri = "amqp://u:${env:PW}@h:1/v"
    async with EventInterface(consuming(uri)) as events:
        consumer = events.plugin("rabbitmq-consumer").consumers["q"]
        monkeypatch.setenv("PW", "two")
        assert events.reload(consuming(uri)).plugins == ["rabbitmq-consumer"]
        assert consumer.options.uri == "amqp://u:two@h:1/v"
        for other in (uri.replace("h:1", "h:2"), "amqp://u:three@h:1/v"):
            with pytest.raises(evframe.ConfigError, match="expected the same options as before, they change with a re"):
                events.reload(consuming(other))


@pytest.mark.parametrize("value", ["no uri of sesame", "http://u:sesame@h/"])
def test_a_value_that_is_no_uri(monkeypatch, value):
    """The error has the path of the option, the reference and no value."""
    monkeypatch.setenv("URI", value)
    with pytest.raises(evframe.ConfigError) as caught:
        EventInterface(consuming("${env:URI}"))
    path = "plugins.rabbitmq-consumer.connections[0].uri"
    assert caught.value.problems == [f"{path}: expected a value that fits its place from ${{env:URI}}"]


CONSUMES = """
import asyncio, sys
import evframe
from evframe_rabbitmq_consumer import ConnectionOptions, Options, RabbitmqConsumer

async def main():
    options = ConnectionOptions(queue="q", uri="amqps://127.0.0.1:1/", cert_file=sys.argv[1])
    source = RabbitmqConsumer(Options(connections=[options]))
    async with evframe.EventInterface(plugins={"rabbitmq-consumer": source}):
        while source.consumers["q"].listed()["state"] != "tls":
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_a_key_with_a_password_is_not_asked_for(tmp_path):
    """The connection fails with its reason, and the process waits for no terminal."""
    both, encrypted = certificates.make(tmp_path), tmp_path / "encrypted.pem"
    words = ["openssl", "rsa", "-aes128", "-passout", "pass:sesame", "-in", both, "-out", encrypted]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    encrypted.write_text(encrypted.read_text() + (tmp_path / "certificate.pem").read_text())
    # A new session has no terminal: the question is asked at the standard input then.
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with child(sys.executable, "-c", CONSUMES, str(encrypted), start_new_session=True, **options) as process:
        assert process.wait(timeout=60) == 0
