"""References to secrets in the sockets of every transport."""

import asyncio
import socket

import pytest
from evframe_flatstore import FlatstoreTransport

import evframe
from evframe.config import parse_config

SECRET = "p@s/s:w;%&=?{rd},é"


def interface(text, *more):
    tables = "".join(f"[[subscriptions]]\nevent = 'E'\nsocket = '{each}'\n" for each in (text, *more))
    return evframe.EventInterface(parse_config(f"{tables}[[events]]\nname = 'E'\n[plugins.rabbitmq]\nuse_tls = true"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rabbitmq:me:${env:PASSWORD}@127.0.0.1/k", "rabbitmq:me@127.0.0.1/k"),
        ("rabbitmq:${env:USER_NAME}:${env:PASSWORD}@127.0.0.1/k", "rabbitmq:${env:USER_NAME}@127.0.0.1/k"),
        ("rabbitmq:me:x@${env:HOST}:${env:PORT}/exchange=e?k", "rabbitmq:me@${env:HOST}:${env:PORT}/exchange=e?k"),
        ("redis://me:${env:PASSWORD}@127.0.0.1?stream=s", "redis://me@127.0.0.1:6379/0?stream=s"),
        ("redis://${env:USER_NAME}:x@${env:HOST}:${env:PORT}/1?stream=s",
         "redis://${env:USER_NAME}@${env:HOST}:${env:PORT}/1?stream=s"),
        ("kafka:127.0.0.1:1/t?g.sasl.password=${env:PASSWORD}", "kafka:127.0.0.1:1/t"),
        ("kafka:${env:BROKERS}/t", "kafka:${env:BROKERS}/t"),
        ("tcp:${env:HOST}:${env:PORT}", "tcp:${env:HOST}:${env:PORT}"),
        ("udp:${env:HOST}:1", "udp:${env:HOST}:1"),
        ("unix:/tmp/${env:USER_NAME}", "unix:/tmp/${env:USER_NAME}"),
        ("flatstore:/tmp/${env:USER_NAME}.log", "flatstore:/tmp/${env:USER_NAME}.log"),
        ("xmlrpc:${env:HOST}:1/hooks/${env:TOKEN}:m", "xmlrpc:${env:HOST}:1/hooks/${env:TOKEN}:m"),
        ("virtual:FAILOVER rabbitmq:me:${env:PASSWORD}@127.0.0.1/k udp:${env:HOST}:1",
         "virtual:FAILOVER rabbitmq:me@127.0.0.1/k udp:${env:HOST}:1"),
    ],
)  # fmt: skip
def test_every_transport_shows_references_and_no_values(monkeypatch, text, shown):
    """The canonical text of each transport has references in place of values, and no secret."""
    values = {"PASSWORD": SECRET, "USER_NAME": "swordfish", "HOST": "127.0.0.9", "PORT": "4711"}
    values |= {"BROKERS": "127.0.0.9:1,[::1]:2", "TOKEN": "3f2b8c91d4e7"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    [lease] = interface(text).subscriptions
    assert lease.subscriber.socket.canonical == shown


def test_a_password_may_hold_any_character(monkeypatch):
    """Where sockets are percent-encoded, a value is the very text of the variable."""
    monkeypatch.setenv("PASSWORD", SECRET)
    rabbit, kafka, redis = interface(
        "rabbitmq:me:${env:PASSWORD}@127.0.0.1/k",
        "kafka:127.0.0.1:1/t?g.sasl.password=${env:PASSWORD}",
        "redis://me:${env:PASSWORD}@127.0.0.1?stream=s",
    ).subscriptions
    assert redis.subscriber.socket.address.password == SECRET
    assert rabbit.subscriber.socket.password == SECRET
    assert kafka.subscriber.socket.options["sasl_plain_password"] == SECRET


@pytest.mark.parametrize(
    "scheme", ["rabbitmq:me:{}@127.0.0.1:x/k", "kafka:h:1/t?g.acks={}", "tcp:127.0.0.1:{}", "redis://u:{}@h/x?stream=s"]
)
def test_no_error_of_a_transport_has_a_value(monkeypatch, scheme):
    """An error about a socket with references shows these, whatever the transport shows of its text."""
    monkeypatch.setenv("PASSWORD", "swordfish")
    with pytest.raises(evframe.ConfigError) as caught:
        interface(scheme.format("${env:PASSWORD}"))
    assert "swordfish" not in str(caught.value)
    assert "${env:PASSWORD}" in str(caught.value)


async def test_events_go_where_the_values_say(monkeypatch, tmp_path):
    """A datagram goes to the host and port of the variables, and a line to the file, whose rotation finds it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(20)
        monkeypatch.setenv("HOST", "127.0.0.1")
        monkeypatch.setenv("PORT", str(peer.getsockname()[1]))
        monkeypatch.setenv("FOLDER", str(tmp_path))
        async with interface("udp:${env:HOST}:${env:PORT}", "flatstore:${env:FOLDER}/f") as events:
            for outcome in await events.raise_event_and_wait("E", [1]):
                assert outcome.delivered
            flatstore = events.plugin("flatstore")
            assert isinstance(flatstore, FlatstoreTransport)
            assert list(flatstore._sockets) == [f"{tmp_path}/f"]
            assert b'"params":[1]' in await asyncio.to_thread(peer.recv, 1000)
    assert (tmp_path / "f").read_text() == "E,1\n"
