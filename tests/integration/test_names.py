"""Host names that move, do not resolve, or get no answer: gateways as processes, real sockets."""

import json
import signal
import socket
import time

import pytest
from name_servers import DnsNames, InjectedNames
from stream_servers import StreamServer

import evframe
from evframe.config import parse_config
from evframe.delivery.sockets import endpoints_of
from evframe.testing import FakeNames, until

CORE = """
[plugins]
disable = [
    "kafka", "kafka-consumer", "rabbitmq", "rabbitmq-consumer", "dispatcher", "load-balancer", "opensips", "core-events"
]
[core]
resolve_every_s = 0.2
resolve_timeout_s = 1.0
state_path = "{state}"
[[events]]
name = "E_A"
"""


@pytest.fixture(params=[InjectedNames, DnsNames], ids=["injected", "dns"])
def names(request, tmp_path):
    """Yield name servers; those of DNS take root, the others stand for them without."""
    if request.param is DnsNames and not DnsNames.is_possible():
        pytest.skip("expected root and mount namespaces; the names that are injected stand for these")
    names = request.param(tmp_path)
    yield names
    names.close()


@pytest.fixture
def receivers():
    """Yield sockets on 127.0.0.1 and 127.0.0.2 with one port."""
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.2", one.getsockname()[1]))
        for each in (one, two):
            each.settimeout(30)
        yield one, two


def subscription(event, text):
    return f'[[subscriptions]]\nevent = "{event}"\nsocket = "{text}"\n'


def read(sock):
    message = json.loads(sock.recv(65536))
    return message["method"], message["params"]


def away(gateway, event="E_A"):
    """Return why each subscriber of *event* is away, by its socket."""
    listed = gateway.client.call("subscribers_list", [event])["Event"]
    return {each["socket"]: each.get("away") for each in listed.get("Subscribers", ())}


def wait_for(look, wanted):
    """Look until it is what is *wanted*; the time limit of the test bounds it."""
    while look() != wanted:
        time.sleep(0.02)  # the gateway needs the processor, too


SOCKETS = (
    "udp:silent.example:9",
    "tcp:silent.example:9/method",
    "xmlrpc:silent.example:9:method",
    "rabbitmq:user:secret@silent.example/key",
    "kafka:silent.example:9,other.example:9/topic",
    "redis://user:secret@silent.example?stream=s",
    "virtual:FAILOVER tcp:silent.example:9 udp:silent.example:9",
)


@pytest.mark.parametrize("text", SOCKETS)
def test_parsing_does_no_lookup(text, monkeypatch):
    """The socket of any transport is parsed without a lookup, and names its hosts."""
    lookups = []
    look_up = socket.getaddrinfo

    def getaddrinfo(host, *rest, flags=0, **more):
        if not flags & socket.AI_NUMERICHOST:
            lookups.append(host)
        return look_up(host, *rest, flags=flags, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    parsed = evframe.EventInterface().parse_socket(text).socket
    assert lookups == []
    assert "silent.example" in [host for host, port in endpoints_of(parsed)]
    assert "secret" not in parsed.canonical


@pytest.mark.parametrize("text", SOCKETS[:-1])  # a combined socket has a reason of its own
async def test_a_subscriber_whose_name_does_not_resolve_is_away(text):
    """Whatever the transport, the events of such a subscriber wait, and it is away with the reason `unresolved`."""
    config = parse_config('[plugins]\ndisable = ["mi-http", "core-events"]\n[core]\ndrain_timeout_s = 0.1\n')
    with FakeNames() as names:
        events = evframe.EventInterface(config)
        events.resolver.lookup = names
        async with events:
            events.register_event("E_A")
            lease = events.subscribe_event("E_A", text)
            events.raise_event("E_A", {"n": 1})
            await until(lambda: events.away(lease) == "unresolved" and not lease.subscriber.in_flight)
            assert (lease.subscriber.depth, lease.subscriber.failed) == (1, 0)


async def test_silent_names_leave_connections_to_others_alone():
    """With any number of silent names, an address and a name that is known are connected to at once."""
    config = parse_config('[plugins]\ndisable = ["mi-http", "core-events"]\n[core]\ndrain_timeout_s = 0.1\n')
    silent = {f"silent{number}.example": None for number in range(40)}
    with FakeNames({"known.example": ["127.0.0.1"], **silent}) as names:
        events = evframe.EventInterface(config)
        events.resolver.lookup = names
        async with StreamServer() as server, events:
            events.register_event("E_SILENT")
            events.register_event("E_A")
            for host in silent:
                events.subscribe_event("E_SILENT", f"tcp:{host}:{server.port}")
            events.raise_event("E_SILENT", {})
            await until(lambda: len(names.asked) >= 32)
            for host in ("127.0.0.1", "known.example"):
                events.subscribe_event("E_A", f"tcp:{host}:{server.port}")
            outcomes = await events.raise_event_and_wait("E_A", {}, timeout_s=4.0)
            assert [outcome.reason for outcome in outcomes] == [None, None], "no silent name has used up its time yet"


def test_a_silent_name_stops_nothing(gateway, names, receivers, tmp_path):
    """Start, subscriptions, a reload and a restart succeed while a name gets no answer; then its events arrive."""
    one, _ = receivers
    port = one.getsockname()[1]
    names["silent.example"] = names["client.example"] = None
    configured, leased, numeric = (f"udp:{host}:{port}" for host in ("silent.example", "client.example", "127.0.0.1"))
    toml = CORE.format(state=tmp_path / "leases") + subscription("E_A", configured) + subscription("E_A", numeric)

    running = gateway(toml, command=names.command)
    assert running.client.call("event_subscribe", ["E_A", leased, 3600]) == "OK"
    wait_for(lambda: away(running), {configured: "unresolved", leased: "unresolved", numeric: None})
    running.client.call("raise_event", ["E_A", {"n": 1}])
    assert read(one) == ("E_A", {"n": 1}), "a silent name holds up no other subscriber"
    assert running.client.call("core:reload") == {"Changes": {}}
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()

    running = gateway(toml, command=names.command)
    wait_for(lambda: away(running), {configured: "unresolved", leased: "unresolved", numeric: None})
    running.client.call("raise_event", ["E_A", {"n": 2}])
    assert read(one) == ("E_A", {"n": 2})
    names["silent.example"] = names["client.example"] = ["127.0.0.1"]
    assert [read(one) for _ in range(2)] == [("E_A", {"n": 2})] * 2
    wait_for(lambda: away(running), {configured: None, leased: None, numeric: None})
    assert running.stop() == 0


def test_events_follow_a_name(gateway, names, receivers, tmp_path):
    """While events flow, a record that changes moves them to the new address, with one log line and one event."""
    old, new = receivers
    port = old.getsockname()[1]
    names["pod.example"] = ["127.0.0.1"]
    with socket.socket(type=socket.SOCK_DGRAM) as notices:
        notices.bind(("127.0.0.1", 0))
        notices.settimeout(30)
        told = f"udp:127.0.0.1:{notices.getsockname()[1]}"
        running = gateway(
            CORE.format(state="")
            + subscription("E_A", f"udp:pod.example:{port}")
            + subscription("E_EVFRAME_ADDRESS_CHANGED", told),
            command=names.command,
        )
        running.client.call("raise_event", ["E_A", {"n": 0}])
        assert read(old) == ("E_A", {"n": 0})
        names["pod.example"] = ["127.0.0.2"]
        assert read(notices) == ("E_EVFRAME_ADDRESS_CHANGED", {"host": "pod.example", "addresses": ["127.0.0.2"]})
        for number in range(1, 4):
            running.client.call("raise_event", ["E_A", {"n": number}])
        assert [read(new) for _ in range(3)] == [("E_A", {"n": number}) for number in range(1, 4)]
        line = running.told("a name has other addresses")
        assert (line["host"], line["before"], line["after"]) == ("pod.example", ["127.0.0.1"], ["127.0.0.2"])
        (counters,) = (each for each in running.client.call("evi:statistics")["Subscribers"] if "pod" in each["socket"])
        assert (counters["raised"], counters["delivered"], counters["failed"]) == (4, 4, 0)
        assert running.stop() == 0
    assert sum("a name has other addresses" in line for line in running.lines) == 1
