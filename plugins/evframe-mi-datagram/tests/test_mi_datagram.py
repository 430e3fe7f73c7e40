"""Requests in UDP and UNIX datagrams, and the datagrams that answer them."""

import asyncio
import itertools
import json
import os
import re
import socket
import stat
from contextlib import asynccontextmanager

import pytest
from evframe_mi import Management
from evframe_mi.testing import ManagementContract
from evframe_mi_datagram import DatagramManagement, Options
from evframe_wire.listing import Listing

import evframe
from evframe.plugins.commands import Command
from evframe.testing import until

PWD = b'{"jsonrpc":"2.0","method":"pwd","id":1}'
LAST = b'{"jsonrpc":"2.0","method":"evi:list","id":"last"}'


class Client:
    """A client with one socket."""

    numbers = itertools.count()

    def __init__(self, address, folder=None):
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            if folder is not None:
                self.sock.bind(str(folder / f"client{next(self.numbers)}"))
        else:
            self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.address = address

    async def send(self, request):
        """Send *request*, once the interface has room for it."""
        async with asyncio.timeout(10):
            while True:
                try:
                    self.sock.sendto(request, self.address)
                except BlockingIOError:
                    await asyncio.sleep(0)
                else:
                    return

    async def receive(self):
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(self.sock, 1 << 17)

    async def ask(self, request):
        """Return the reply; None when that of the next request is the first one."""
        await self.send(request)
        await self.send(LAST)
        reply = await self.receive()
        if b'"last"' in reply:
            return None
        assert b'"last"' in await self.receive()
        return reply


def gateway(**options):
    return evframe.EventInterface(plugins={"mi": Management(), "mi-datagram": DatagramManagement(Options(**options))})


class TestUdp(ManagementContract):
    """The table over UDP."""

    not_json = b"400 Parse_error"
    longest_reply = 65457
    socket_name = "udp:127.0.0.1:0"
    folder = None

    def plugin(self):
        return DatagramManagement(Options(socket_name=self.socket_name))

    @asynccontextmanager
    async def travel(self, events):
        client = Client(events.plugin("under-test").address, self.folder)
        with client.sock:

            async def ask(request):
                # What no datagram can carry is cut off by the client already.
                return await client.ask(request[:65000])

            yield ask


class TestUdp6(TestUdp):
    """The table over UDP on IPv6."""

    socket_name = "udp:[::1]:0"


class TestUnix(TestUdp):
    """The table over a UNIX socket."""

    @pytest.fixture(autouse=True)
    def path(self, tmp_path):
        self.socket_name = str(tmp_path / "mi")
        self.folder = tmp_path


async def test_nothing_without_a_name():
    """Without a socket's name nothing listens, and the plugin is loaded."""
    async with gateway() as events:
        assert events.plugin("mi-datagram").address is None


async def test_reply_that_is_too_large(tmp_path):
    """A reply that does not fit is an error with the id of the request, over UDP and UNIX."""
    for name in ("udp:127.0.0.1:0", str(tmp_path / "mi")):
        async with gateway(socket_name=name, socket_buf_size=512) as events:
            client = Client(events.plugin("mi-datagram").address, tmp_path)
            events.commands.add(Command("test:long", ((),), lambda _: "x" * 600))
            with client.sock:
                reply = json.loads(await client.ask(b'{"jsonrpc":"2.0","method":"test:long","id":7}'))
                assert await client.ask(PWD) is not None

        assert reply["id"] == 7
        assert reply["error"]["code"] == -32000
        assert re.fullmatch(r"Reply of \d+ bytes, the most is 512", reply["error"]["data"])


async def test_request_that_is_too_large():
    """A request beyond the limit is cut off, and so is no JSON."""
    async with gateway(socket_name="udp:127.0.0.1:0", socket_buf_size=512) as events:
        client = Client(events.plugin("mi-datagram").address)
        with client.sock:
            large = b'{"jsonrpc":"2.0","method":"pwd","id":"%b"}' % (b"x" * 1000)
            assert await client.ask(large) == b"400 Parse_error"


async def test_empty_datagram():
    """A datagram without a byte is no request."""
    async with gateway(socket_name="udp:127.0.0.1:0") as events:
        client = Client(events.plugin("mi-datagram").address)
        with client.sock:
            assert await client.ask(b"") is None
        assert events.commands.find("mi_datagram:counters").run({}) == {
            "requests": 1,
            "replies": 1,
            "lost": 0,
            "dropped": 0,
        }


async def test_unix_client_without_a_name(tmp_path):
    """The command of a client that has no name runs, and nothing is sent."""
    async with gateway(socket_name=str(tmp_path / "mi")) as events:
        events.register_event("E_A")
        client = Client(str(tmp_path / "mi"))
        done = []
        events.commands.add(Command("test:note", ((),), lambda _: done.append(1)))
        with client.sock:
            await client.send(b'{"jsonrpc":"2.0","method":"test:note","id":1}')
            await until(lambda: done)


async def test_client_that_does_not_read(tmp_path):
    """A client whose queue is full delays no other; its replies wait, and arrive in order once it reads."""
    async with gateway(socket_name=str(tmp_path / "mi")):
        slow, quick = (Client(str(tmp_path / "mi"), tmp_path) for _ in range(2))
        with slow.sock, quick.sock:
            for number in range(100):
                await slow.send(b'{"jsonrpc":"2.0","method":"pwd","id":%d}' % number)
                if number % 10 == 0:
                    assert await quick.ask(PWD) is not None
            got = [json.loads(await slow.receive())["id"] for _ in range(100)]

    assert got == list(range(100))


async def test_client_that_never_reads(tmp_path):
    """Replies that are not read are given up after their time, and their number is limited."""
    async with gateway(socket_name=str(tmp_path / "mi"), socket_timeout_ms=50) as events:
        slow, quick = (Client(str(tmp_path / "mi"), tmp_path) for _ in range(2))
        counts = events.commands.find("mi_datagram:counters").run
        at_rest = asyncio.all_tasks()
        with slow.sock, quick.sock:
            for _ in range(600):
                await slow.send(PWD)
            assert await quick.ask(PWD) is not None
            await until(lambda: counts({})["requests"] == counts({})["replies"] + counts({})["lost"])
        assert counts({})["lost"] > 500
        await until(lambda: asyncio.all_tasks() <= at_rest)


async def test_client_that_has_gone(tmp_path):
    """A reply to a client that has gone is lost, and counted."""
    async with gateway(socket_name=str(tmp_path / "mi")) as events:
        client = Client(str(tmp_path / "mi"), tmp_path)
        await client.send(PWD)
        os.unlink(client.sock.getsockname())
        client.sock.close()
        await until(lambda: events.commands.find("mi_datagram:counters").run({})["lost"] == 1)


async def test_path(tmp_path):
    """A socket left over is taken over, has its mode, and is removed at the end."""
    path = tmp_path / "mi"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(str(path))
    async with gateway(socket_name=f"unix:{path}", unix_socket_mode="600"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not path.exists()


async def test_address_in_use(tmp_path):
    """An address that somebody has is an error of the start that names the option; the other server keeps it."""
    for name in ("udp:127.0.0.1:0", str(tmp_path / "mi")):
        async with gateway(socket_name=name) as first:
            address = first.plugin("mi-datagram").address
            taken = name if isinstance(address, str) else "udp:{}:{}".format(*address)
            with pytest.raises(OSError, match=f"plugins.mi-datagram.socket_name: '{taken}': .*in use"):
                async with gateway(socket_name=taken):
                    pass
            client = Client(address, tmp_path)
            with client.sock:
                assert await client.ask(PWD) is not None


async def test_pretty_printing():
    """One member per line."""
    async with gateway(socket_name="udp:127.0.0.1:0", pretty_printing=True) as events:
        client = Client(events.plugin("mi-datagram").address)
        with client.sock:
            assert (await client.ask(b'{"jsonrpc":"2.0","method":"help","id":1}')).startswith(b'{\n\t"jsonrpc":\t"2.0"')
            assert await client.ask(b"x") == b"400 Parse_error"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"socket_name": "127.0.0.1:8080"}, "socket_name: expected udp:host:port or the absolute path"),
        ({"socket_name": "udp:127.0.0.1"}, "socket_name: expected host:port"),
        ({"socket_name": "udp:unix:/x"}, "socket_name: expected udp:host:port or"),
        ({"socket_name": "udp:127.0.0.1:70000"}, "socket_name: expected a port"),
        ({"socket_name": "mi.sock"}, "socket_name: expected udp:host:port or the absolute path"),
        ({"socket_name": "/" + "x" * 107}, "socket_name: expected udp:host:port or the absolute path"),
        ({"socket_name": "udp:0.0.0.0:8080"}, "socket_name: .*bind to 127.0.0.1, or set allow_remote = true"),
        ({"socket_name": "udp:[::]:8080"}, "socket_name: .*bind to 127.0.0.1, or set allow_remote = true"),
        ({"unix_socket_mode": "rw"}, "unix_socket_mode: expected an octal mode"),
        ({"unix_socket_user": "no such user"}, "unix_socket_user: expected a user's name or id"),
        ({"unix_socket_group": -5}, "unix_socket_group: expected a group's name or id"),
        ({"socket_timeout_ms": -1}, "socket_timeout_ms: expected 0 or more"),
        ({"socket_buf_size": 70000}, "socket_buf_size: expected 256 to 65507"),
    ],
)
def test_bad_options(options, problem):
    """A value that does not fit is an error that names its option, and what would do."""
    with pytest.raises(ValueError, match=f"^{problem}"):
        Options(**options)


async def test_remote_if_it_is_allowed():
    """With `allow_remote` any address will do."""
    async with gateway(socket_name="udp:0.0.0.0:0", allow_remote=True) as events:
        client = Client(("127.0.0.1", events.plugin("mi-datagram").address[1]))
        with client.sock:
            assert await client.ask(PWD) is not None


async def test_what_the_kernel_drops_is_counted(caplog):
    """Requests for which the socket has no room are counted, and logged once in ten seconds."""
    management = DatagramManagement(Options(socket_name="udp:127.0.0.1:0"))
    async with evframe.EventInterface(plugins={"mi": Management(), "mi-datagram": management}) as events:
        listener = management._listener
        listener.bound.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        counts = events.commands.find("mi_datagram:counters").run
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(500):
                client.sendto(b'{"jsonrpc":"2.0","method":"which"}' + b" " * 100, listener.bound.address)
            for _ in range(20):  # the kernel says it with a datagram that comes after
                taken = counts({})["requests"]
                client.sendto(b'{"jsonrpc":"2.0","method":"which"}', listener.bound.address)
                await until(lambda taken=taken: counts({})["requests"] > taken)
        await until(lambda: counts({})["requests"] + counts({})["dropped"] == 520)
    assert 0 < counts({})["dropped"] < 500
    assert caplog.messages.count("the kernel had no room for requests") == 1


class _Slow:
    """A command that takes a while, in many steps, and one that says how many of these were begun before it."""

    def __init__(self):
        self.begun = 0

    def _list(self, _):
        self.begun += 1
        return {"All": Listing(range(2000), lambda n: {"n": n})}

    @evframe.hookimpl
    def management_commands(self, commands):
        commands.add(Command("slow:list", ((),), self._list))
        commands.add(Command("slow:begun", ((),), lambda _: self.begun))


async def test_clients_are_served_by_turns():
    """A client that sends hundreds of requests at once delays another one by a few of them."""
    plugin = DatagramManagement(Options(socket_name="udp:127.0.0.1:0"))
    loop = asyncio.get_running_loop()
    async with evframe.EventInterface(plugins={"mi": Management(), "slow": _Slow(), "mi-datagram": plugin}):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        ):
            for client in (busy, other):
                client.setblocking(False)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
                client.connect(plugin.address)
            for number in range(150):
                busy.send(b'{"jsonrpc":"2.0","method":"slow:list","id":%d}' % number)
            other.send(b'{"jsonrpc":"2.0","method":"slow:begun","id":"other"}')
            reply = json.loads(await loop.sock_recv(other, 1 << 16))
            assert reply["result"] < 3
            for number in range(150):
                assert json.loads(await loop.sock_recv(busy, 1 << 16))["id"] == number
