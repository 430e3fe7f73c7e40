"""The datagram transport on real sockets."""

import asyncio
import contextlib
import os
import resource
import socket

import pytest
from evframe_datagram import DatagramTransport, parse

import evframe


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


def interface(**options):
    return evframe.EventInterface(plugins={"datagram": DatagramTransport()}, **options)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("127.0.0.1:8081", "udp:127.0.0.1:8081"),
        ("127.0.0.1:08081", "udp:127.0.0.1:8081"),
        ("localhost:8081", "udp:localhost:8081"),
        ("LOCALHOST:8081", "udp:LOCALHOST:8081"),
        ("127.1:81", "udp:127.1:81"),
        ("0.0.0.0:81", "udp:0.0.0.0:81"),
        ("[::1]:8081", "udp:[::1]:8081"),
    ],
)
def test_udp_accepted_d3(text, canonical):
    """Each accepted UDP row prints its canonical text; D3: IPv6 in brackets too."""
    assert parse("udp", text).canonical == canonical


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.0.0.1:",
        ":8081",
        "",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:100000",
        "127.0.0.1:000081",
        "127.0.0.1:+81",
        "127.0.0.1:-1",
        "127.0.0.1:80/x",
        "127.0.0.1:81 ",
        " 127.0.0.1:81",
        "nosuch.invalid:1",
        "256.1.1.1:81",
        "//127.0.0.1:81",
        "::1:8081",
        "127.0.0.1:65537",
        "127.0.0.1:99999",
    ],
)
def test_udp_rejected_d5_q14(text):
    """Each rejected UDP row is an error; D5 and Q-14: a port never wraps."""
    with pytest.raises(ValueError, match="expected"):
        parse("udp", text)


@pytest.mark.parametrize("text", ["/run/ev.sock", "relative", "/a:80", " /x", "/x ", "@abstract", "x" * 107])
def test_unix_accepted(text):
    """Each accepted UNIX row prints verbatim."""
    assert parse("unix", text).canonical == f"unix:{text}"


@pytest.mark.parametrize("text", ["", "x" * 108, "é" * 54, "@", "/a\0b"])
def test_unix_rejected_d2(text):
    """D2: a path that does not fit the kernel's address is an error, and so is what is none."""
    with pytest.raises(ValueError, match=r"^expected unix:(path of 1 to 107 bytes, got \d+ bytes|/path or unix:@name)"):
        parse("unix", text)


def test_prefix_is_another_subscriber_d1_q3():
    """D1, Q-3: a socket that is a prefix of another is a subscriber of its own."""
    events = interface()
    events.register_event("E_TEST")
    for text in ("udp:127.0.0.10:8081", "udp:127.0.0.1:8081", "unix:/tmp/abc", "unix:/tmp/a", "udp:127.0.0.1:808"):
        events.subscribe_event("E_TEST", text)
        assert events.subscriptions[-1].subscriber.socket.canonical == text

    assert len(events.subscriptions) == 5


async def test_udp_in_order(receiver):
    """Mixed sizes arrive one per datagram, in order, and all are counted."""
    async with interface() as events:
        events.register_event("E_TEST")
        lease = events.subscribe_event("E_TEST", "udp:127.0.0.1:%d" % receiver.getsockname()[1])
        for number in range(500):
            events.raise_event("E_TEST", {"i": number, "s": "x" * (number % 7)})
        while lease.subscriber.depth:
            await asyncio.sleep(0)
        got = [receiver.recv(4096) for _ in range(500)]

    assert got[7] == b'{"jsonrpc":"2.0","method":"E_TEST","params":{"i":7,"s":""}}'
    assert [int(text.split(b'"i":')[1].split(b",")[0]) for text in got] == list(range(500))
    assert lease.subscriber.delivered == lease.subscriber.raised == 500


async def test_udp_refused_is_a_failure(receiver):
    """A UDP peer that is known to be gone is a counted failure, not a success."""
    port = receiver.getsockname()[1]
    receiver.close()
    async with interface() as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"udp:127.0.0.1:{port}")
        reports = [await events.raise_event_and_wait("E_TEST", [number]) for number in range(5)]

    assert [report[0].reason for report in reports] == ["refused"] * 5


async def test_too_large_is_counted_d7(receiver):
    """D7: a payload over the datagram limit is counted, the next one is sent."""
    async with interface() as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", "udp:127.0.0.1:%d" % receiver.getsockname()[1])
        large = await events.raise_event_and_wait("E_TEST", {"s": "x" * 65507})
        small = await events.raise_event_and_wait("E_TEST", {"s": "x"})

    assert (large[0].reason, small[0].reason) == ("too_large", None)


@pytest.mark.parametrize("abstract", [False, True])
async def test_unix_full_queue_loses_none_d4_d6(tmp_path, abstract):
    """D4, D6: abstract names work, and a reader slower than the raise loses nothing."""
    name = f"@evframe-{tmp_path.name}" if abstract else str(tmp_path / "ev")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(b"\0" + name[1:].encode() if abstract else name)
        reader.setblocking(False)
        loop = asyncio.get_running_loop()
        async with interface() as events:
            events.register_event("E_TEST")
            events.subscribe_event("E_TEST", f"unix:{name}")
            for number in range(2000):
                events.raise_event("E_TEST", [number])
            got = [await loop.sock_recv(reader, 4096) for _ in range(2000)]

    assert [int(text.split(b"[")[1][:-2]) for text in got] == list(range(2000))


async def test_unix_peer_comes_back(tmp_path):
    """Events raised while the path is missing arrive once it is there."""
    path = tmp_path / "ev"
    loop = asyncio.get_running_loop()
    async with interface() as events:
        events.register_event("E_TEST")
        lease = events.subscribe_event("E_TEST", f"unix:{path}")
        events.raise_event("E_TEST", [1])
        while not lease.subscriber.attempts:
            await asyncio.sleep(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
            reader.bind(str(path))
            reader.setblocking(False)
            got = await loop.sock_recv(reader, 4096)

    assert got == b'{"jsonrpc":"2.0","method":"E_TEST","params":[1]}'


async def test_more_subscribers_than_open_files():
    """At the limit of open files the sockets used least recently make room; every subscriber gets its events."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        receivers = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(40)]
        for receiver in receivers:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(10)
        async with interface() as events:
            events.register_event("E_TEST")
            for receiver in receivers:
                events.subscribe_event("E_TEST", "udp:127.0.0.1:%d" % receiver.getsockname()[1])
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 20, hard))
            try:
                for number in range(3):
                    report = await events.raise_event_and_wait("E_TEST", [number])
                    assert [outcome.reason for outcome in report] == [None] * 40
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for receiver in receivers:
            assert [receiver.recv(100)[-4:] for _ in range(3)] == [b"[%d]}" % number for number in range(3)]


async def test_order_on_one_socket_d8(receiver):
    """D8: a subscriber gets everything from one source address, in order, whichever thread raised it."""
    async with interface() as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", "udp:127.0.0.1:%d" % receiver.getsockname()[1])
        for number in range(50):
            await asyncio.to_thread(events.raise_event, "E_TEST", [number])
        while events.statistics[0].delivered < 50:
            await asyncio.sleep(0.001)
        got = [receiver.recvfrom(4096) for _ in range(50)]

    assert len({address for _, address in got}) == 1
    assert [int(text.split(b"[")[1][:-2]) for text, _ in got] == list(range(50))


async def test_renewal_resolves_again_d3(receiver, monkeypatch):
    """D3: a name is resolved again when its subscription is renewed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as moved:
        moved.bind(("127.0.0.2", receiver.getsockname()[1]))
        moved.settimeout(10)
        addresses = iter(["127.0.0.1", "127.0.0.2"])
        resolve = socket.getaddrinfo

        def resolve_moving(host, *rest, **more):
            is_asked = host == "moving.example" and not more.get("flags")
            return resolve(next(addresses) if is_asked else host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", resolve_moving)
        async with interface() as events:
            events.register_event("E_TEST")
            for number in range(2):
                events.subscribe_event("E_TEST", "udp:moving.example:%d" % receiver.getsockname()[1])
                assert (await events.raise_event_and_wait("E_TEST", [number]))[0].delivered
        assert receiver.recv(100).endswith(b"[0]}")
        assert moved.recv(100).endswith(b"[1]}")
