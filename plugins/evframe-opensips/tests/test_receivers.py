"""Where events arrive, on real sockets."""

import asyncio
import json
import os
import socket
import stat
import sys
import time
from types import SimpleNamespace

import pytest
from evframe_client.addresses import subscriber_text
from evframe_client.payload_reader import PayloadReader
from evframe_ingest import LARGE_BYTES
from evframe_opensips import InstanceOptions, Options
from evframe_opensips.endpoints import bind, is_endpoint, own_address
from evframe_opensips.intake import InstanceIntake
from stream_servers import connection_to

from evframe.subscriptions.resolving import Resolver
from evframe.testing import until

URL = "http://127.0.0.1:1/mi"


class Site:
    """A receiver with its intake; what was raised."""

    tracing = None

    def __init__(self, transport="udp", path=None, port=0, **settings):
        self.raised = []
        self.lost = 0
        self.intake = InstanceIntake(self, "one", "", time.monotonic)
        self.intake.expected = {"E_X"}
        self.options = InstanceOptions("one", URL, transport, path=path, port=port)
        self.settings = Options([self.options], **settings)
        self.receiver, _ = bind(self.options, self.settings, self._lost)
        self.reader = PayloadReader(self.receiver, self.intake, LARGE_BYTES)

    @property
    def raising(self):
        """What events of large messages are made and raised by."""
        return self

    def event(self, name):
        return SimpleNamespace(snapshot=lambda params, _: (name, params))

    def raise_prepared(self, event, done, *, until):
        assert until == "kept"
        self.raised.append(event)
        if done is not None:
            done([])

    def raise_event_and_tell(self, name, params, done, *, until):
        assert until == "kept"
        self.raised.append((name, params))
        done([])

    def raise_event(self, name, params):
        self.raised.append((name, params))

    def _lost(self):
        self.lost += 1

    async def __aenter__(self):
        self.reader.begin()
        return self

    async def end(self):
        await self.reader.end()
        self.receiver.close()

    async def __aexit__(self, *error):
        await self.end()
        await self.end()


def message(number, **more):
    return json.dumps(
        {"jsonrpc": "2.0", "method": "E_X", "params": {"n": number}} | more, separators=(",", ":")
    ).encode()


def numbers(site):
    return [params["n"] for _, params in site.raised]


async def test_udp_burst():
    """What waits in the socket is drained in order, and the loop serves others in between."""
    turns = 0
    async with Site() as site:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(site.receiver.address)
            for number in range(3000):
                sender.send(message(number))
        while len(site.raised) < 3000:
            turns += 1
            before = len(site.raised)
            await asyncio.sleep(0)
            assert len(site.raised) - before <= 1000
    assert numbers(site) == list(range(3000))
    assert turns >= 3


async def test_unix(tmp_path):
    """A UNIX socket has its mode, takes long datagrams, and is removed with the receiver."""
    path = str(tmp_path / "one.sock")
    async with Site("unix", path, unix_socket_mode="600") as site:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message("x" * 100_000), path)
        await until(lambda: site.raised)
        assert numbers(site) == ["x" * 100_000]
    assert not os.path.exists(path)


@pytest.mark.parametrize("transport", ["udp", "unix", "tcp"])
async def test_a_large_message_is_read_beside_the_loop(tmp_path, transport):
    """The loop reads the small messages alone, and all are raised in their order."""
    sizes = []

    def record(frame, event, _):
        if (
            event == "call"
            and frame.f_code.co_name in {"read", "read_message", "read_messages"}
            and "data" in frame.f_locals
        ):
            sizes.append(len(frame.f_locals["data"]))

    path = str(tmp_path / "one.sock") if transport == "unix" else None
    family = socket.AF_UNIX if path else socket.AF_INET
    large = [message(number, text="x" * 50_000) for number in range(3)]
    async with Site(transport, path) as site:
        sys.setprofile(record)
        try:
            with socket.socket(family, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM) as sender:
                sender.connect(site.receiver.address)
                sender.setblocking(False)
                for one in (message(10), large[0], large[1], message(11), large[2], message(12)):
                    await asyncio.get_running_loop().sock_sendall(sender, one)
                await until(lambda: len(site.raised) == 6)
        finally:
            sys.setprofile(None)
    assert numbers(site) == [10, 0, 1, 11, 2, 12]
    assert sizes
    assert max(sizes) < 1000


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_an_end_while_a_large_message_is_read(transport):
    """The message that is read beside the loop, and all that has arrived after it, are raised before the end."""
    async with Site(transport) as site:
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as sender:
            sender.connect(site.receiver.address)
            for number in range(20):
                sender.sendall(message(number, text="x" * 20_000 * (number % 2)))
            await until(lambda: site.reader._large)
            await site.end()
    assert numbers(site) == list(range(20))


async def test_path_that_was_left(tmp_path):
    """A socket that a killed gateway has left is replaced; one that is in use, or another file, is an error."""
    path = str(tmp_path / "one.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(path)
        with pytest.raises(OSError, match=r"plugins.opensips, instance 'one': .*one.sock: Address already in use"):
            Site("unix", path)
    async with Site("unix", path):
        pass
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OSError, match="expected nothing, or a socket without links"):
        Site("unix", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "precious"


async def test_a_path_of_another_gateway_stays(tmp_path):
    """A gateway that ends leaves the socket that another one has made in its place."""
    path = str(tmp_path / "one.sock")
    old = Site("unix", path)
    os.unlink(path)
    async with Site("unix", path) as new:
        async with old:
            pass
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message(1), path)
        await until(lambda: numbers(new) == [1])
    assert not os.path.exists(path)


@pytest.mark.parametrize("transport", ["udp", "unix"])
async def test_what_has_arrived_before_the_end(tmp_path, transport):
    """Datagrams that wait as the socket is closed are raised, however many they are."""
    count = 3000 if transport == "udp" else 5
    path = str(tmp_path / "one.sock") if transport == "unix" else None
    async with Site(transport, path) as site:
        with socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(site.receiver.address)
            for number in range(count):
                sender.send(message(number))
    assert numbers(site) == list(range(count))


@pytest.mark.parametrize("size", [1, 2, 7, 100, 10_000])
async def test_tcp_in_pieces(size):
    """A stream may be cut anywhere."""
    text = b"".join(message(number, id=number) + b" \n"[: number % 3] for number in range(1, 60))
    async with Site("tcp") as site, connection_to(site.receiver.address) as (reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(text), size):
            writer.write(text[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        wanted = b"".join(b'{"jsonrpc":"2.0","result":"OK","id":%d}' % number for number in range(1, 60))
        assert await reader.readexactly(len(wanted)) == wanted
        writer.close()
        await until(lambda: site.lost)
    assert numbers(site) == list(range(1, 60))
    assert site.intake.unparsed == 0


async def test_tcp_what_has_arrived_before_the_end():
    """What has arrived on a connection is raised when the receiver closes before the loop has read it."""
    async with Site("tcp") as site:
        with socket.create_connection(site.receiver.address) as sender:
            sender.sendall(message(1))
            await until(lambda: site.raised)
            sender.sendall(message(2) + message(3, text="x" * 200_000) + message(4))
            await site.end()
    assert numbers(site) == [1, 2, 3, 4]


async def test_tcp_bytes_that_are_no_text():
    """The last message on a connection is not waited for because of bytes that are no UTF-8."""
    async with Site("tcp") as site, connection_to(site.receiver.address) as (_, writer):
        writer.write(b'{"method":"E_X","params":{"n":"\xff","n":1}}')
        await until(lambda: site.raised)
        writer.close()
        await until(lambda: site.lost)


async def test_tcp_garbage():
    """What is no JSON is counted, and the messages after it are raised; so is what a connection leaves unfinished."""
    async with Site("tcp", max_message_bytes=65_536) as site, connection_to(site.receiver.address) as (_, writer):
        writer.write(b"{garbage}" + message(1) + b"[}" + message(2) + message(3))
        await until(lambda: len(site.raised) == 3)
        writer.write(b"x" * 70_000)
        await until(lambda: site.intake.unparsed == 3)
        writer.write(b"}" + message(4) + b'{"method":"E_')
        await until(lambda: len(site.raised) == 4)
        writer.close()
        await until(lambda: site.intake.unparsed == 5)
    assert numbers(site) == [1, 2, 3, 4]


async def test_datagram_garbage():
    """Datagrams that are no JSON are counted, and others are raised."""
    async with Site() as site:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(site.receiver.address)
            for data in (b"", b"\xff" * 1000, b"{" * 60_000, b'{"method":"E_X"', message(1) + message(2)):
                sender.send(data)
        await until(lambda: len(site.raised) == 2)
    assert site.intake.unparsed == 3


async def test_tcp_peer_that_reads_nothing():
    """A sender that does not read its replies is not read from, so that they do not pile up here."""
    async with Site("tcp") as site, connection_to(site.receiver.address, limit=1) as (_, writer):
        writer.transport.pause_reading()
        text = b"".join(message(number, id=number) for number in range(1, 20_000))
        sent = 0
        writer.transport.set_write_buffer_limits(high=0)
        while sent < 100:
            writer.write(text)
            sent += 1
            try:
                await asyncio.wait_for(writer.drain(), 0.5)
            except TimeoutError:
                break
        assert sent < 100
        (connection,) = [key.data for key in site.receiver._selector.get_map().values() if key.data]
        assert len(connection._unsent) < 4 << 20
        writer.transport.abort()
        await until(lambda: site.lost)


async def test_too_many_connections(monkeypatch):
    """Connections beyond the limit are closed at once; the others stay."""
    monkeypatch.setattr("evframe_client.receivers._MAX_CONNECTIONS", 1)
    async with Site("tcp") as site:
        async with connection_to(site.receiver.address) as (_, first):
            await until(lambda: site.receiver.connections)
            async with connection_to(site.receiver.address) as (reader, _):
                assert await reader.read() == b""
            first.write(message(1))
            await until(lambda: site.raised)
        await until(lambda: site.lost)


def free_ports():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = min(probe.getsockname()[1], 65_000)
    return port, f"{port}-{port + 20}"


async def test_ports():
    """Instances take ports of the range in order; a configured port that is taken is an error with the instance's name."""
    first, ports = free_ports()
    async with Site(ports=ports) as one, Site(ports=ports) as two:
        assert first <= one.receiver.address[1] < two.receiver.address[1] <= first + 20
        taken = one.receiver.address[1]
        with pytest.raises(OSError, match=rf"instance 'one': 127.0.0.1:{taken}: Address already in use"):
            Site(port=taken)
        with pytest.raises(OSError, match="Address already in use"):
            Site(ports=f"{taken}-{taken}")


async def test_place_is_kept():
    """Other options keep the socket if events may arrive there still."""
    async with Site() as site:
        port = site.receiver.address[1]
        for options, settings, kept in (
            (InstanceOptions("one", URL), Options(), True),
            (InstanceOptions("one", URL, port=port), Options(), True),
            (InstanceOptions("one", URL, port=port % 65535 + 1), Options(), False),
            (InstanceOptions("one", URL), Options(ports=f"{port}-{port}"), True),
            (InstanceOptions("one", URL), Options(listen="127.0.0.2"), False),
            (InstanceOptions("one", URL, "unix", path="/x"), Options(), False),
        ):
            assert is_endpoint(site.receiver.address, options, settings) is kept


@pytest.mark.parametrize(
    ("options", "settings", "text"),
    [
        ({}, {}, "udp:127.0.0.1:"),
        ({"transport": "tcp"}, {}, "tcp:127.0.0.1:"),
        ({}, {"listen": "::1"}, "udp:[::1]:"),
        ({}, {"listen": "[::1]"}, "udp:[::1]:"),
        ({}, {"listen": "0.0.0.0"}, "udp:127.0.0.1:"),
        ({"url": "http://localhost:1/mi"}, {"listen": "0.0.0.0"}, "udp:127.0.0.1:"),
        ({"url": "udp://127.0.0.2:1"}, {"listen": "::"}, "udp:127.0.0."),
        ({"url": "fifo:///tmp/x"}, {"listen": "0.0.0.0"}, "udp:127.0.0.1:"),
        ({"url": "unix:///tmp/x"}, {"listen": "0.0.0.0"}, "udp:127.0.0.1:"),
        ({"url": "http+unix://%2Ftmp%2Fx/mi"}, {"listen": "0.0.0.0"}, "udp:127.0.0.1:"),
        ({"advertise": "gateway.example"}, {"listen": "0.0.0.0"}, "udp:gateway.example:"),
        ({"advertise": "[2001:db8::1]"}, {}, "udp:[2001:db8::1]:"),
    ],
)
async def test_socket_text(options, settings, text):
    """An instance gets an address that it can send to."""
    own = InstanceOptions(**{"name": "one", "url": URL, **options})
    every = Options([own], **settings)
    receiver, _ = bind(own, every, lambda: None)
    try:
        host = own.advertise or await own_address(own, every, Resolver())
        found = subscriber_text(own.transport, receiver.address, host)
        assert found.startswith(text)
        assert found.endswith(f":{receiver.address[1]}")
    finally:
        receiver.close()


async def test_what_the_kernel_drops_is_counted(caplog):
    """Datagrams for which the socket has no room are counted, and logged once in ten seconds."""
    site = Site()
    site.receiver._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(site.receiver.address)
        for number in range(500):
            sender.send(message(number))
        async with site:
            for number in range(500, 520):  # the kernel says it with a datagram that comes after
                taken = site.intake.received
                sender.send(message(number))
                await until(lambda taken=taken: site.intake.received > taken)
    assert 0 < site.intake.dropped < 500
    assert site.intake.received + site.intake.dropped == 520
    assert caplog.messages.count("the kernel had no room for events of an instance") == 1
