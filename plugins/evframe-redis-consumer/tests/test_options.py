"""The options of the plugin."""

import logging
from importlib.metadata import entry_points

import pytest
from evframe_redis_consumer import ConnectionOptions, Options, RedisConsumer

import evframe
from evframe import EventInterface
from evframe.config import Config


def consuming(url):
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"redis-consumer"})
    return Config(disable=others, plugins={"redis-consumer": {"connections": [{"stream": "s", "url": url}]}})


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("stream", "", "stream: expected 1 to 1024 bytes, got ''"),
        ("group", "", "group: expected 1 to 1024 bytes, got ''"),
        ("url", "http://host/", "url: expected redis[s]://[user[:password]@]host[:port][/database], got another text"),
        ("url", "redis://u:sesame@host/x", "url: expected redis[s]://"),
        ("url", "redis://u:sesame@host:99999999/", "url: expected a port from 1 to 65535"),
        ("event", "E" * 65, "event: expected an event name of at most 64 bytes"),
        ("max_events", -1, "max_events: expected 0 or more, got -1"),
        ("prefetch", 0, "prefetch: expected 1 to 65535, got 0"),
        ("claim_idle_ms", 99, "claim_idle_ms: expected 100 or more, got 99"),
        ("password_file", "/no/such/file", "password_file: expected a file that can be read, got '/no/such/file'"),
        ("ca_file", "/no/such/file", "ca_file: expected a file that can be read"),
        ("dead_letters", "", "dead_letters: expected 1 to 1024 bytes, got ''"),
        ("dead_letters", "s", "dead_letters: expected another stream than that of the entries, got 's'"),
        ("retry_delay_ms", 0, "retry_delay_ms: expected 1 or more, got 0"),
    ],
)
def test_bad_option(option, value, problem):
    """Each option says what it takes, without a password."""
    with pytest.raises(ValueError) as raised:
        ConnectionOptions(**{"stream": "s", option: value})

    assert str(raised.value).startswith(problem)
    assert "sesame" not in str(raised.value)


def test_names_are_different():
    """Two connections cannot have the same name, which is that of the stream unless another one is given."""
    with pytest.raises(ValueError, match="connections: expected a name of its own for each, got 'S' twice"):
        Options(connections=[ConnectionOptions(stream="s"), ConnectionOptions(stream="S")])
    Options(connections=[ConnectionOptions(stream="s"), ConnectionOptions(stream="s", name="second")])


def test_events_are_declared():
    """The event of entries that name none is declared; other streams need no event."""
    options = Options(connections=[ConnectionOptions(stream="s", event="E_S"), ConnectionOptions(stream="rpc")])
    events = evframe.EventInterface(plugins={"redis-consumer": RedisConsumer(options)})
    (definition,) = events.events

    assert definition.name == "E_S"
    assert list(definition.params) == ["body"]
    with pytest.raises(evframe.ParameterError):
        events.raise_event("E_S", {"other": "text"})


@pytest.mark.parametrize(
    ("url", "used", "shown"),
    [
        ("redis://u:${env:PW}@h:1/2", "redis://u:p%40w@h:1/2", "redis://u@h:1/2"),
        ("redis://${env:PW}:x@h:1/2", "redis://p%40w:x@h:1/2", "redis://${env:PW}@h:1/2"),
        ("${env:URL}", "redis://me:sesame@there/", "${env:URL}"),
    ],
)
async def test_references_in_the_url(monkeypatch, caplog, url, used, shown):
    """The connections get the values; listings and statuses have the references."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PW", "p@w")
    monkeypatch.setenv("URL", "redis://me:sesame@there/")
    async with EventInterface(consuming(url)) as events:
        consumer = events.plugin("redis-consumer").consumers["s"]
        assert (str(consumer.options.url), consumer.listed()["server"]) == (used, shown)
        texts = [caplog.text, repr(consumer.options), str(consumer.listed())]
        texts += [str(each.details) for each in events.status.group("redis-consumer")]
    assert not any(value in text for value in ("p@w", "p%40w", "sesame") for text in texts)


async def test_a_reload_takes_other_values_of_secrets(monkeypatch):
    """The next login uses them; whatever else changes needs a restart."""
    monkeypatch.setenv("PW", "one")
    url = "redis://u:${env:PW}@h:1/2"
    async with EventInterface(consuming(url)) as events:
        consumer = events.plugin("redis-consumer").consumers["s"]
        monkeypatch.setenv("PW", "two")
        assert events.reload(consuming(url)).plugins == ["redis-consumer"]
        assert consumer.options.url == "redis://u:two@h:1/2"
        with pytest.raises(evframe.ConfigError, match="expected the same options as before, they change with a re"):
            events.reload(consuming(url.replace("h:1", "h:2")))
