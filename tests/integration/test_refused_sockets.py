"""Sockets that can never work are refused when they are subscribed, by every transport that is installed."""

import json

import pytest
from evframe_mi.testing import management

import evframe

GOOD = {
    "datagram": ["udp:127.0.0.1:8081", "unix:/tmp/evframe-refused.sock", "unix:@evframe-refused"],
    "stream": ["tcp:127.0.0.1:8081/method"],
    "xmlrpc": ["xmlrpc:127.0.0.1:8081/path:method", "xmlrpcs:127.0.0.1:8081/path:method"],
    "flatstore": ["flatstore:/tmp/evframe-refused"],
    "kafka": ["kafka:127.0.0.1:9092/topic?key=name&header.a=b"],
    "nats": ["nats://127.0.0.1/subject?core"],
    "rabbitmq": ["rabbitmq:user:password@127.0.0.1/exchange=e;header.a=b?key"],
    "redis": ["redis://user:password@127.0.0.1/1?stream=a:b&maxlen=9"],
    "virtual": ["virtual:FAILOVER udp:127.0.0.1:8081 udp:127.0.0.1:8082"],
}
HOSTS = {
    "datagram": "udp:{}:8081",
    "stream": "tcp:{}:8081/method",
    "xmlrpc": "xmlrpc:{}:8081/path:method",
    "kafka": "kafka:{}:9092/topic",
    "nats": "nats://{}:4222/subject",
    "rabbitmq": "rabbitmq:user@{}/key",
    "redis": "redis://user@{}/1?stream=a",
}
CONTROLS = ["\0", "\x01", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\ud800", "\udfff"]


@pytest.fixture(scope="module")
def interface():
    disable = ["mi-http"] if "mi-http" in {status.name for status in evframe.EventInterface().plugin_status} else []
    return evframe.EventInterface(evframe.Config(disable=disable))


def refused(interface, socket):
    """Subscribe as a client does, and directly; return the reason."""
    interface.register_event("E_REFUSED")
    request = {"jsonrpc": "2.0", "id": 1, "method": "event_subscribe", "params": ["E_REFUSED", socket, 60]}
    answer = json.loads(management(interface).handle(json.dumps(request).encode()))
    assert answer["error"] == {"code": 400, "message": "Bad parameter value"}, socket
    with pytest.raises(evframe.SocketError) as caught:
        interface.subscribe_event("E_REFUSED", socket)
    assert str(caught.value).isprintable()
    assert not interface.event("E_REFUSED").leases
    return caught.value.problem


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
@pytest.mark.parametrize("name", GOOD)
def test_no_transport_takes_control_characters(interface, name, control):
    """A control character, or a surrogate that is no byte, is refused wherever it stands in a socket."""
    for socket in GOOD[name]:
        assert interface.parse_socket(socket).socket.canonical
        colon = socket.index(":") + 1
        for at in {colon, colon + 1, (colon + len(socket)) // 2, len(socket) - 1, len(socket)}:
            if control == "\t" and name in {"virtual", "rabbitmq"}:
                continue  # tabs may stand between members, and beside parameters
            if control == "\t" and name == "kafka":
                continue  # blanks around a broker are none of its name
            assert refused(interface, socket[:at] + control + socket[at:])


HARD = ["a b", "a\u00a0b", "a..b", ".a", "a" * 64, ".".join(["a" * 60] * 5), "a\u202eb", "a" * 100_000, "256.1.1.1"]
NO_HOSTS = [
    *((name, host) for name in HOSTS for host in HARD),
    *((name, " h") for name in ("datagram", "stream", "xmlrpc")),
    *((name, host) for name in ("datagram", "xmlrpc") for host in ("h/", "h,")),
]


@pytest.mark.parametrize(("name", "host"), NO_HOSTS, ids=lambda text: ascii(text[:12]))
def test_no_transport_takes_what_is_no_host(interface, name, host):
    """A host that can be no name is refused, with the form that is accepted."""
    assert "expected" in refused(interface, HOSTS[name].format(host))


@pytest.mark.parametrize(
    ("name", "socket"),
    [
        ("datagram", "unix:/tmp/\udcff"),
        ("stream", "tcp:127.0.0.1:8081/\udcff m?/n"),
        ("datagram", "udp:my_host-1.example.:8081"),
        ("flatstore", "flatstore:/tmp/\udcff é"),
        ("xmlrpc", "xmlrpc:127.0.0.1:8081/\udcff:m:n /"),
        ("datagram", "udp:bücher.example:80"),
    ],
    ids=ascii,
)
def test_what_the_original_takes(interface, name, socket):
    """Bytes that are no UTF-8 in paths and methods, and names with underscores, are taken as ever."""
    canonical = interface.parse_socket(socket).socket.canonical
    assert canonical == socket or (name == "xmlrpc" and canonical.endswith(":m:n /"))  # whose paths are masked


def test_a_long_socket_costs_little(events):
    """The error of a socket of a megabyte is short, and takes one look at it."""
    for text in (":" * 1_000_000, "memory:" + ":a" * 500_000 + "\0", "udp:" + "a@:" * 300_000, "x" * 1_000_000):
        with pytest.raises(evframe.SocketError) as caught:
            events.parse_socket(text)
        assert len(str(caught.value)) < 5000
