"""Other options while the interface works: every request that has come is answered."""

import asyncio
import itertools
import os
import socket
import stat

import pytest
from evframe_mi_datagram import Options

import evframe
from evframe.testing import ConfigFile, until

PWD = b'{"jsonrpc":"2.0","method":"pwd","id":1}'
RELOAD = b'{"jsonrpc":"2.0","method":"core:reload","id":1}'
CHANGED = b'{"jsonrpc":"2.0","result":{"Changes":{"plugins":["mi-datagram"]}},"id":1}'


class Client:
    """A client with one socket."""

    numbers = itertools.count()

    def __init__(self, address, folder=None):
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, socket.SOCK_DGRAM)
        if isinstance(address, str):
            self.sock.bind(str(folder / f"client{next(self.numbers)}"))
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
        await self.send(request)
        return await self.receive()


class Site(ConfigFile):
    """The configuration, with an address."""

    def write(self, name, text=""):
        super().write(f"[plugins.mi-datagram]\n{f'socket_name = {name!r}' if name else ''}\n{text}\n")

    def enter(self, name, text=""):
        self.write(name, text)
        return evframe.EventInterface.from_toml(self.path)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "evframe.toml", "mi", "mi-datagram")


@pytest.mark.parametrize("kind", ["udp", "unix"])
async def test_other_address(site, tmp_path, kind):
    """The answer to the reload comes from the old address, and so do those of requests that were there before."""
    udp = kind == "udp"
    first = "udp:127.0.0.1:0" if udp else str(tmp_path / "first")
    second = "udp:127.0.0.2:0" if udp else str(tmp_path / "second")
    async with site.enter(first) as events:
        for name in (second, first):
            client = Client(events.plugin("mi-datagram").address, tmp_path)
            with client.sock:
                client.sock.connect(client.address)  # so that nothing comes from elsewhere
                site.write(name)
                client.sock.send(RELOAD)
                for _ in range(5):
                    client.sock.send(PWD)
                assert await client.receive() == CHANGED
                for _ in range(5):
                    assert b'"WD"' in await client.receive()
            other = Client(events.plugin("mi-datagram").address, tmp_path)
            with other.sock:
                assert b'"WD"' in await other.ask(PWD)
        if not udp:
            assert os.path.exists(first)
            assert not os.path.exists(second)


async def test_same_address(site, tmp_path):
    """Limits and printing change in place, and a UNIX path gets its new mode."""
    path = str(tmp_path / "mi")
    async with site.enter(path) as events:
        listener = events.plugin("mi-datagram")._listener
        client = Client(path, tmp_path)
        with client.sock:
            site.write(path, 'pretty_printing = true\nsocket_buf_size = 300\nunix_socket_mode = "600"')
            events.reload()
            assert b"\n\t" in await client.ask(PWD)
            assert await client.ask(b'{"jsonrpc":"2.0","method":"pwd","id":"%b"}' % (b"x" * 300)) == b"400 Parse_error"
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert events.plugin("mi-datagram")._listener is listener


async def test_replies_that_wait(site, tmp_path):
    """Replies for a client that is slow to read arrive, although their address has been left."""
    first, second = (str(tmp_path / name) for name in ("first", "second"))
    async with site.enter(first) as events:
        slow = Client(first, tmp_path)
        with slow.sock:
            for _ in range(100):
                await slow.send(PWD)
            counts = events.commands.find("mi_datagram:counters").run
            await until(lambda: counts({})["requests"] == 100)
            old = events.plugin("mi-datagram")._listener
            site.write(second)
            events.reload()
            await until(lambda: not os.path.exists(first))
            for _ in range(100):
                assert b'"WD"' in await slow.receive()
            await until(lambda: old.bound.socket.fileno() < 0)


async def test_begin_and_end(site, tmp_path):
    """A name that comes begins to be listened at, and one that goes ends."""
    path = str(tmp_path / "mi")
    async with site.enter(None) as events:
        site.write(path)
        assert events.reload().plugins == ["mi-datagram"]
        client = Client(path, tmp_path)
        with client.sock:
            assert b'"WD"' in await client.ask(PWD)
            site.write(None)
            await client.send(RELOAD)
            assert await client.receive() == CHANGED
        await until(lambda: not os.path.exists(path))
        assert events.plugin("mi-datagram").address is None


async def test_address_in_use(site):
    """An address that is taken refuses the reload, and the old one stays bound."""
    async with site.enter("udp:127.0.0.1:0") as events:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            name = "udp:127.0.0.1:%d" % taken.getsockname()[1]
            site.write(name)
            with pytest.raises(evframe.ConfigError) as problem:
                events.reload()
        assert [each.partition(": ")[2] for each in problem.value.problems] == [
            f"plugins.mi-datagram.socket_name: '{name}': Address already in use"
        ]
        client = Client(events.plugin("mi-datagram").address)
        with client.sock:
            assert b'"WD"' in await client.ask(PWD)


async def test_reload_at_the_end(site):
    """An interface that is left right after a reload closes both addresses."""
    async with site.enter("udp:127.0.0.1:0") as events:
        old = events.plugin("mi-datagram")._listener
        site.write("udp:127.0.0.2:0")
        events.reload()
        new = events.plugin("mi-datagram")._listener
    assert (old.bound.socket.fileno(), new.bound.socket.fileno()) == (-1, -1)


@pytest.mark.parametrize("target", ["other", "same", None])
async def test_taken_back(site, tmp_path, target):
    """When another plugin refuses, the old address was never closed."""
    first, other = (str(tmp_path / name) for name in ("first", "other"))
    async with site.enter(first) as events:
        plugin = events.plugin("mi-datagram")
        listener = plugin._listener
        name = {"other": other, "same": first}.get(target)
        plugin.reconfigure(Options(socket_name=name, pretty_printing=True, unix_socket_mode="600"))()
        assert plugin._listener is listener
        assert stat.S_IMODE(os.stat(first).st_mode) == 0o660
        assert not os.path.exists(other)
        client = Client(first, tmp_path)
        with client.sock:
            for _ in range(3):
                reply = await client.ask(PWD)
                assert b"\n" not in reply


async def test_under_load(site, tmp_path):
    """A client that asks at the address of the moment has an answer to each request."""
    names = ["udp:127.0.0.1:0", "udp:127.0.0.2:0"]
    async with site.enter(names[0]) as events:
        plugin = events.plugin("mi-datagram")
        asked, running = 0, True

        async def load():
            nonlocal asked
            while running:
                client = Client(plugin.address)
                with client.sock:
                    assert b'"WD"' in await client.ask(PWD)
                asked += 1

        loads = [asyncio.create_task(load()) for _ in range(4)]
        for number in range(1, 11):
            await until(lambda most=10 * number: asked > most)
            site.write(names[number % 2])
            events.reload()
        running = False
        await asyncio.gather(*loads)
