"""The datagram transport on real sockets."""

import asyncio
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys

import pytest
from evframe_datagram import DatagramTransport, parse

import evframe
from evframe.config import CoreOptions
from evframe.testing import FakeNames, no_garbage, until


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
        ("nosuch.invalid:1", "udp:nosuch.invalid:1"),
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
        "127.0.0.1\0.example:81",
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
    """D1, Q-3: a socket that is a prefix of another is another subscriber."""
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


async def test_udp_refused_before_one_that_is_too_large(receiver):
    """A report on events that were sent before one that is too large to be sent is counted on those events."""
    port = receiver.getsockname()[1]
    receiver.close()
    async with interface() as events:
        events.register_event("E_TEST")
        lease = events.subscribe_event("E_TEST", f"udp:127.0.0.1:{port}")
        for text in ("", "", "x" * 70_000, ""):
            events.raise_event("E_TEST", [text])
        await until(lambda: not lease.subscriber.depth)
    assert lease.subscriber.reasons == {"refused": 3, "too_large": 1}


_UNREACHABLE = """
import asyncio, json, socket, struct, subprocess, sys
import evframe
from evframe_datagram import DatagramTransport


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def report(own_port, port):
    # "Administratively prohibited", as a firewall answers, about a datagram of the subscriber.
    here = socket.inet_aton("127.0.0.1")
    inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 29, 0, 0, 64, 17, 0, here, here)
    rest = b"\\0" * 4 + inner + struct.pack("!HHHH", own_port, port, 9, 0)
    words = struct.unpack(f"!{len(rest) // 2}H", rest)
    total = sum(words) + 0x030D
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(struct.pack("!BBH", 3, 13, ~total & 0xFFFF) + rest, ("127.0.0.1", 0))


async def reasons(events, sizes):
    reports = [events.raise_event_and_wait("E_TEST", ["x" * size]) for size in sizes]
    return [report[0].reason for report in await asyncio.gather(*reports)]


async def main():
    ip("link", "set", "lo", "up")
    ip("route", "add", "198.51.100.0/24", "dev", "lo")
    datagrams = DatagramTransport()
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        async with evframe.EventInterface(plugins={"datagram": datagrams}) as events:
            events.register_event("E_TEST")
            events.subscribe_event("E_TEST", "udp:127.0.0.1:%d" % receiver.getsockname()[1])
            await reasons(events, [1])
            [kernel] = datagrams.sender.kernel_sockets
            report(kernel.getsockname()[1], receiver.getsockname()[1])
            found["reported"] = await reasons(events, [3, 2, 4, 1])
            found["received"] = [len(receiver.recv(99)) for _ in range(5)]
        async with evframe.EventInterface(plugins={"datagram": DatagramTransport()}) as events:
            events.register_event("E_TEST")
            events.subscribe_event("E_TEST", "udp:198.51.100.9:9")
            found["before"] = await reasons(events, [1, 1, 2])
            ip("route", "add", "unreachable", "198.51.100.9/32")
            found["unreachable"] = await reasons(events, [1, 70_000, 1, 1, 2])
            ip("route", "del", "unreachable", "198.51.100.9/32")
            found["after"] = await reasons(events, [1, 1, 2])
    print(json.dumps(found))


asyncio.run(main())
"""


def test_an_unreachable_host_fails_the_events_that_meet_it():
    """An error of the network is counted on the events that the kernel did not send, or reported on; others arrive."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", _UNREACHABLE],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no separate network: {done.stderr}")
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert found["reported"] == ["unreachable", None, None, None]
    assert len(found["received"]) == 5
    assert found["before"] == found["after"] == [None] * 3
    assert found["unreachable"] == ["unreachable", "too_large", *["unreachable"] * 3]


async def test_a_batch_of_large_events(tmp_path):
    """As many events as a batch has can be too large for a UNIX socket, whose reader then has the next one."""
    path = str(tmp_path / "reader")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(path)
        async with interface() as events:
            events.register_event("E_TEST")
            lease = events.subscribe_event("E_TEST", f"unix:{path}")
            for _ in range(1024):
                events.raise_event("E_TEST", ["x" * 300_000])
            events.raise_event("E_TEST", [1])
            await until(lambda: not lease.subscriber.depth)
            assert (lease.subscriber.delivered, lease.subscriber.reasons) == (1, {"too_large": 1024})


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
    """Events raised while the path is missing arrive once it exists."""
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


def receivers(count):
    """Yield sockets on 127.0.0.1, 127.0.0.2, and so on, with one port."""
    sockets = []
    for number in range(1, count + 1):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((f"127.0.0.{number}", sockets[0].getsockname()[1] if sockets else 0))
        sock.settimeout(10)
        sockets.append(sock)
    return sockets


@pytest.fixture
def two_homes():
    """Two receivers of one port, on 127.0.0.1 and 127.0.0.2."""
    sockets = receivers(2)
    yield sockets
    for sock in sockets:
        sock.close()


def named(names, every_s=0.0):
    """Return an interface that asks *names*, with an event and a subscriber at peer.example."""
    core = CoreOptions(resolve_every_s=every_s, resolve_timeout_s=0.5)
    events = interface(config=evframe.Config(core))
    events.resolver.lookup = names
    events.register_event("E_TEST")
    return events


def numbers(sock, count):
    return [int(sock.recv(4096).split(b"[")[1][:-2]) for _ in range(count)]


async def test_renewal_resolves_again_d3(two_homes):
    """D3: a name is resolved again when its subscription is renewed, and events go to its new address."""
    old, new = two_homes
    text = f"udp:peer.example:{old.getsockname()[1]}"
    with FakeNames({"peer.example": ["127.0.0.1"]}) as names:
        async with named(names) as events:
            events.subscribe_event("E_TEST", text)
            assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
            names["peer.example"] = ["127.0.0.2"]

            def has_moved():
                events.subscribe_event("E_TEST", text)
                return events.resolver.known("peer.example", 1)[0].ip == "127.0.0.2"

            await until(has_moved)
            assert (await events.raise_event_and_wait("E_TEST", [2]))[0].delivered
    assert (numbers(old, 1), numbers(new, 1)) == ([1], [2])


async def test_a_name_that_does_not_resolve_is_away(receiver):
    """A subscriber whose name does not resolve is made at once, is away, and gets every event once it resolves."""
    with FakeNames({"peer.example": None}) as names:
        async with named(names) as events:
            lease = events.subscribe_event("E_TEST", "udp:peer.example:%d" % receiver.getsockname()[1])
            for number in range(100):
                events.raise_event("E_TEST", [number])
            await until(lambda: lease.subscriber.attempts)
            assert (lease.subscriber.depth, lease.subscriber.failed) == (100, 0)
            names["peer.example"] = ["127.0.0.1"]
            await until(lambda: not lease.subscriber.depth)
            assert lease.subscriber.delivered == 100
    assert numbers(receiver, 100) == list(range(100))


async def test_events_that_flow_follow_the_name(two_homes, caplog):
    """While events flow, a change of the address is noticed: each event arrives once, in order, at one of the two."""
    old, new = two_homes
    caplog.set_level("INFO", "evframe.resolving")
    with FakeNames({"peer.example": ["127.0.0.1"]}) as names:
        async with named(names, every_s=0.05) as events:
            lease = events.subscribe_event("E_TEST", f"udp:peer.example:{old.getsockname()[1]}")
            await events.raise_event_and_wait("E_TEST", [0])
            names["peer.example"] = ["127.0.0.2"]
            raised = 1

            def has_moved():
                nonlocal raised
                events.raise_event("E_TEST", [raised])
                raised += 1
                return caplog.records

            await until(has_moved)
            for number in range(raised, raised + 100):
                events.raise_event("E_TEST", [number])
            await until(lambda: not lease.subscriber.depth)
    assert lease.subscriber.delivered == raised + 100
    arrived = [drain(old), drain(new)]
    assert arrived[0] + arrived[1] == list(range(raised + 100))
    assert arrived[1][-100:] == list(range(raised, raised + 100))
    (record,) = caplog.records
    assert (record.host, record.before, record.after) == ("peer.example", ["127.0.0.1"], ["127.0.0.2"])


def drain(sock):
    sock.setblocking(False)
    got = []
    with contextlib.suppress(BlockingIOError):
        while True:
            got += numbers(sock, 1)
    return got


async def test_refused_at_a_name_looks_it_up(two_homes):
    """When nothing listens at the address of a name any more, it is looked up, and events go to the new address."""
    old, new = two_homes
    text = f"udp:peer.example:{old.getsockname()[1]}"
    with FakeNames({"peer.example": ["127.0.0.1"]}) as names:
        async with named(names) as events:
            lease = events.subscribe_event("E_TEST", text)
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            old.close()
            names["peer.example"] = ["127.0.0.2"]
            number = 0
            async with asyncio.timeout(30):
                while not lease.subscriber.delivered > 1:
                    number += 1
                    await events.raise_event_and_wait("E_TEST", [number])
    assert lease.subscriber.reasons == {"refused": number - 1}
    assert numbers(new, 1) == [number]


async def test_a_name_keeps_one_of_its_addresses(two_homes):
    """Datagrams stay at an address that the name still has, whatever others come and go."""
    old, new = two_homes
    with FakeNames({"peer.example": ["127.0.0.2"]}) as names:
        async with named(names, every_s=0.05) as events:
            events.subscribe_event("E_TEST", f"udp:peer.example:{old.getsockname()[1]}")
            await events.raise_event_and_wait("E_TEST", [0])
            names["peer.example"] = ["::1", "127.0.0.1", "127.0.0.2"]
            await until(lambda: len(events.resolver.known("peer.example", 1)) == 3)
            await events.raise_event_and_wait("E_TEST", [1])
    assert numbers(new, 2) == [0, 1]


async def test_an_ended_subscriber_leaves_nothing(tmp_path):
    """A subscriber that has ended, whose peer was not there, leaves memory without the cyclic collector."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def come_and_leave():
        for text in (f"udp:127.0.0.1:{port}", f"unix:{tmp_path}/nobody"):
            events.subscribe_event("E_D", text)
        for n in range(3):
            await events.raise_event_and_wait("E_D", [n], timeout_s=0.05)
        for text in (f"udp:127.0.0.1:{port}", f"unix:{tmp_path}/nobody"):
            events.unsubscribe_event("E_D", text)
        await until(lambda: len(events.statistics) == 1)
        await asyncio.sleep(0)

    async with interface(config=evframe.Config(core=CoreOptions(drain_timeout_s=0.05))) as events:
        events.register_event("E_D")
        await come_and_leave()
        with no_garbage():
            await come_and_leave()


async def test_names_leave_no_garbage():
    """Subscribers whose names do not resolve, fail and end leave nothing that only the collector finds."""
    with FakeNames() as names:
        async with named(names) as events:
            with no_garbage():
                for number in range(20):
                    text = f"udp:peer{number}.example:9"
                    lease = events.subscribe_event("E_TEST", text)
                    events.raise_event("E_TEST", [number])
                    await until(lambda lease=lease: lease.subscriber.away)
                    events.unsubscribe_event("E_TEST", text)
                del lease
                await until(lambda: not events.resolver.in_use)


class OddTexts(DatagramTransport):
    """Sends the texts of events with an odd number, as a transport that cannot encode the others."""

    @evframe.hookimpl
    def deliver(self, socket, batch):
        texts = [b"%d" % event.get(1) if event.get(1) % 2 else b"" for event in batch.events]
        for index, text in enumerate(texts):
            if not text:
                batch.fail(index, "even")
        return self.sender.send(socket, batch, texts)


@pytest.mark.parametrize("kind", ["udp", "unix"])
@pytest.mark.parametrize("sent", [[1], [2], [2, 4], [2, 1, 4, 6, 3, 13], [*range(1, 300)]])
async def test_events_that_have_their_outcome(tmp_path, kind, sent):
    """Another transport may have failed events itself: nothing is sent for them, nor counted again."""
    family, address = (socket.AF_INET, ("127.0.0.1", 0)) if kind == "udp" else (socket.AF_UNIX, f"{tmp_path}/own")
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as reader:
        reader.bind(address)
        text = f"unix:{address}" if kind == "unix" else "udp:127.0.0.1:%d" % reader.getsockname()[1]
        odd = [number for number in sent if number % 2]
        async with evframe.EventInterface(plugins={"datagram": OddTexts()}) as events:
            events.register_event("E_TEST")
            lease = events.subscribe_event("E_TEST", text)
            for number in sent:
                events.raise_event("E_TEST", [number])
            loop = asyncio.get_running_loop()
            assert [int(await loop.sock_recv(reader, 99)) for _ in odd] == odd
            await until(lambda: not lease.subscriber.depth)
            with pytest.raises(BlockingIOError):
                reader.recv(99)
    subscriber = lease.subscriber
    even = len(sent) - len(odd)
    assert (subscriber.delivered, subscriber.reasons) == (len(odd), {"even": even} if even else None)


class Members:
    """A plugin that opens members, as groups and replays do."""

    @evframe.hookimpl
    def loaded(self, context):
        self.context = context

    def open(self, text):
        return self.context.roster.open_member(self.context.transports.parse(text))


@pytest.mark.parametrize("ends", [False, True])
async def test_two_subscribers_of_one_path_wait_for_its_reader(tmp_path, ends):
    """Each continues when a slow reader has made room, also when the other one has ended meanwhile."""
    path = str(tmp_path / "reader")
    members, outcomes = Members(), []
    plugins = {"datagram": DatagramTransport(), "members": members}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(path)
        reader.setblocking(False)
        async with evframe.EventInterface(plugins=plugins) as events:
            events.register_event("E")
            definition = events.event("E")
            events.subscribe_event("E", f"unix:{path}")
            member = members.open(f"unix:{path}")
            for number in range(100):
                events.raise_event("E", [number])
                member.put(definition.snapshot([number], 0.0), outcomes.append)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if ends:
                members.context.roster.close_member(member)

            def is_over():
                with contextlib.suppress(BlockingIOError):
                    while reader.recv(4096):
                        pass
                return events.statistics[0].delivered == 100 and len(outcomes) == 100

            await until(is_over)
