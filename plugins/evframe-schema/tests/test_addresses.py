"""Where sockets are, by their canonical texts."""

import re

import pytest
from evframe_options.installed import installed
from evframe_schema.addresses import keys_for, place_of

import evframe
from evframe.config import parse_config

EXAMPLES = {
    "udp": "udp:127.0.0.1:1",
    "tcp": "tcp:h:1/method",
    "unix": "unix:/tmp/a",
    "xmlrpc": "xmlrpc:h:1/path:method",
    "xmlrpcs": "xmlrpcs:h:1/path:method",
    "rabbitmq": "rabbitmq:user:password@h/exchange=e;header.a=b?key",
    "kafka": "kafka:h:1/topic?key=name",
    "nats": "nats://h/subject?core",
    "mqtt": "mqtt://h/topic",
    "mqtts": "mqtts://h/topic",
    "redis": "redis://user:password@h/1?stream=a:b&maxlen=9",
    "rediss": "rediss://h?stream=a",
    "sqs": "sqs:https://sqs.eu-west-1.amazonaws.com/123/queue",
    "syslog": "syslog:tls:h",
    "http": "http://h/path?token=a",
    "https": "https://h",
}
KNOWN = {"flatstore", "memory", "route", "sse", "virtual", "ws"}
"""Schemes that are no servers, or whose servers the plugins have themselves."""


@pytest.mark.parametrize(
    ("canonical", "protocol", "host", "pathname"),
    [
        ("unix:/run/a.sock", "unix", "/run/a.sock", ""),
        ("tcp:[2001:db8::1]:8080", "tcp", "[2001:db8::1]:8080", ""),
        ("rabbitmq:a%40b@h1,h2:1/", "amqp", "h1,h2:1", ""),
        ("xmlrpcs:rpc.example:8443/x:block_ip", "https", "rpc.example:8443", "/x"),
        ("https://hooks.example:443/orders?site=1", "https", "hooks.example:443", "/orders"),
        ("http://127.0.0.1:9000/", "http", "127.0.0.1:9000", "/"),
        ("redis://u@h:6379/1?stream=a", "redis", "h:6379", "/1"),
        ("mqtt://u@broker:1883/a/b?qos=1", "mqtt", "broker:1883", ""),
        ("mqtts://[::1]:8883/a", "secure-mqtt", "[::1]:8883", ""),
        ("nats://u@h1:4222,h2:4222/calls.a?tls", "nats", "h1:4222,h2:4222", ""),
        ("sqs:https://sqs.eu-west-1.amazonaws.com/12/calls", "sqs", "sqs.eu-west-1.amazonaws.com", "/12/calls"),
        ("syslog:tls:logs.example:6514", "syslog", "logs.example:6514", ""),
        ("syslog:unix:/dev/log", "syslog", "/dev/log", ""),
        ("amqp:broker/a", "amqp", "broker/a", ""),
    ],
)
def test_places(canonical, protocol, host, pathname):
    """A canonical text is split as its scheme has it; one of another plugin is taken as it is."""
    place = place_of(canonical)

    assert (place.protocol, place.host, place.pathname) == (protocol, host, pathname)


def test_keys_are_different():
    """Names that differ only in other characters have different keys, of the characters that AsyncAPI has for them."""
    assert keys_for(["a:b", "a/b", "a_b"]) == {"a:b": "a_b", "a/b": "a_b_2", "a_b": "a_b_3"}
    assert keys_for(["E_é", "E_²", "E__2", "E__"]) == {"E_é": "E__", "E_²": "E___2", "E__2": "E__2", "E__": "E___3"}
    assert keys_for(["a_2", "a/2", "a:2", "a_2_2"]) == {
        "a_2": "a_2",
        "a/2": "a_2_2",
        "a:2": "a_2_3",
        "a_2_2": "a_2_2_2",
    }


@pytest.fixture(scope="module")
def interface():
    """Return an interface with all transports."""
    return evframe.EventInterface(parse_config("[plugins]\ndisable = ['mi-http']"))


@pytest.mark.parametrize("scheme", sorted({scheme for plugin in installed() for scheme in plugin.schemes} - KNOWN))
def test_each_transport_has_an_address(interface, scheme):
    """The address of a server is a host with a port, or a path, for each scheme that a configuration can have."""
    server = place_of(interface.parse_socket(EXAMPLES[scheme]).socket.canonical).server()
    assert re.fullmatch(r"/tmp/\w+|[\w.-]+(:\d+)?", server["host"]), server
