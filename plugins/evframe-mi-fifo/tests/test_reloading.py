"""Other options while the interface works: every request that has come is answered."""

import asyncio
import itertools
import os
import stat

import pytest
from evframe_mi_fifo import Options

import evframe
from evframe.testing import ConfigFile, until

PWD = b'{"jsonrpc":"2.0","method":"pwd","id":1}'
RELOAD = b'{"jsonrpc":"2.0","method":"core:reload","id":1}'
CHANGED = b'{"jsonrpc":"2.0","result":{"Changes":{"plugins":["mi-fifo"]}},"id":1}'


class Client:
    """A client with one FIFO for replies, and the one for requests open."""

    numbers = itertools.count()

    def __init__(self, fifo, replies):
        self.name = b"reply_%d" % next(self.numbers)
        self.reply = os.fsencode(replies) + b"/" + self.name
        os.mkfifo(self.reply)
        self.fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.close(self.fd)

    def send(self, text):
        data = b":%b:%b" % (self.name, text)
        assert os.write(self.fd, data) == len(data)

    async def receive(self):
        """Return everything up to the end of the reply."""
        got, data = b"", None
        with open(os.open(self.reply, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as fifo:
            async with asyncio.timeout(10):
                while data != b"" or not got:
                    await asyncio.sleep(0.001)
                    data = fifo.read(65536)
                    got += data or b""
        return got

    async def ask(self, text):
        self.send(text)
        return await self.receive()


class Site(ConfigFile):
    """The configuration, with a FIFO and a directory for replies."""

    def __init__(self, folder):
        super().__init__(folder / "evframe.toml", "mi", "mi-fifo")
        self.replies = folder / "replies"
        self.replies.mkdir()
        self.first, self.second = str(folder / "first"), str(folder / "second")

    def write(self, name, text=""):
        lines = [f"fifo_name = {name!r}"] if name else []
        lines += [text or f"reply_dir = '{self.replies}'", ""]
        super().write("\n".join(["[plugins.mi-fifo]", *lines]))

    def enter(self, name, text=""):
        self.write(name, text)
        return evframe.EventInterface.from_toml(self.path)

    def client(self, name):
        return Client(name, self.replies)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


async def test_other_fifo(site):
    """Who has written into the old FIFO is answered, and so is who has only opened it."""
    async with site.enter(site.first) as events:
        with site.client(site.first) as reloads, site.client(site.first) as asks, site.client(site.first) as opened:
            site.write(site.second)
            reloads.send(RELOAD)
            asks.send(PWD)
            assert await reloads.receive() == CHANGED
            assert b'"WD"' in await asks.receive()
            await until(lambda: not os.path.exists(site.first))
            assert b'"WD"' in await opened.ask(PWD)
            opened.send(PWD[:10])
            os.write(opened.fd, PWD[10:])
            assert b'"WD"' in await opened.receive()
        with site.client(site.second) as new:
            assert b'"WD"' in await new.ask(PWD)
        old = [task for task in asyncio.all_tasks() if "Inlet._keep" in repr(task)]
        assert len(old) == 2
        await until(lambda: sum(not task.done() for task in old) == 1)
        assert events.status.group("mi-fifo").find("main").status == 1
    assert not os.path.exists(site.second)


async def test_same_fifo(site, tmp_path):
    """Limits, printing, mode and directory change in place; what waits is answered where it was asked for."""
    async with site.enter(site.first) as events:
        inlet = events.plugin("mi-fifo")._listener
        other = tmp_path / "other"
        other.mkdir()
        with site.client(site.first) as before, Client(site.first, other) as after:
            before.send(PWD)
            await until(lambda: events.plugin("mi-fifo")._open == 1)
            more = 'pretty_printing = true\nmax_request_bytes = 60\nfifo_mode = "600"'
            site.write(site.first, f'{more}\nreply_dir = "{other}"')
            assert events.reload().plugins == ["mi-fifo"]
            assert b'"WD"' in await before.receive()
            assert b"\n\t" in await after.ask(PWD)
            assert b"-32700" in await after.ask(PWD[:-1] + b" " * 60 + b"}")
        assert stat.S_IMODE(os.stat(site.first).st_mode) == 0o600
        assert events.plugin("mi-fifo")._listener is inlet


async def test_begin_and_end(site):
    """A name that comes begins to be read, and one that goes ends."""
    async with site.enter(None) as events:
        site.write(site.first)
        assert events.reload().plugins == ["mi-fifo"]
        with site.client(site.first) as client:
            assert b'"WD"' in await client.ask(PWD)
            site.write(None)
            assert await client.ask(RELOAD) == CHANGED
        await until(lambda: not os.path.exists(site.first))
        assert events.status.group("mi-fifo").find("main") is None


async def test_refusals(site, tmp_path):
    """A path that is in use, or no directory for replies, refuses the reload; the old FIFO stays."""
    (tmp_path / "second").write_text("no FIFO\n")
    async with site.enter(site.first) as events:
        for name, text, problem in (
            (site.second, "", f"plugins.mi-fifo.fifo_name: '{site.second}': expected nothing, or a FIFO without links"),
            (
                site.first,
                "reply_dir = '/nosuch'",
                "plugins.mi-fifo.reply_dir: expected a directory that exists, got '/nosuch'",
            ),
        ):
            site.write(name, text)
            with pytest.raises(evframe.ConfigError) as refused:
                events.reload()
            assert [each.partition(": ")[2] for each in refused.value.problems] == [problem]
            with site.client(site.first) as client:
                assert b'"WD"' in await client.ask(PWD)


async def test_reload_at_the_end(site):
    """An interface that is left right after reloads removes every FIFO."""
    async with site.enter(site.first) as events:
        inlets = [events.plugin("mi-fifo")._listener]
        for name in (site.second, str(site.replies / "third")):
            site.write(name)
            events.reload()
            inlets.append(events.plugin("mi-fifo")._listener)
    assert [inlet._fifo for inlet in inlets] == [None] * 3
    assert os.listdir(site.replies) == []


@pytest.mark.parametrize("target", ["second", "first", None])
async def test_taken_back(site, target):
    """When another plugin refuses, the old FIFO was never removed."""
    async with site.enter(site.first) as events:
        plugin = events.plugin("mi-fifo")
        inlet = plugin._listener
        name = None if target is None else getattr(site, target)
        options = Options(fifo_name=name, reply_dir=str(site.replies), pretty_printing=True, fifo_mode="600")
        plugin.reconfigure(options)()
        assert plugin._listener is inlet
        assert stat.S_IMODE(os.stat(site.first).st_mode) == 0o660
        assert not os.path.exists(site.second)
        with site.client(site.first) as client:
            assert b"\n" not in await client.ask(PWD)


async def test_under_load(site):
    """Requests into the FIFO of the moment are all answered, however often that changes."""
    names = [site.first, site.second]
    async with site.enter(names[0]) as events:
        asked, running, name = 0, True, names[0]

        async def load():
            nonlocal asked
            while running:
                with site.client(name) as client:
                    await asyncio.sleep(0)
                    assert b'"WD"' in await client.ask(PWD)
                asked += 1

        loads = [asyncio.create_task(load()) for _ in range(4)]
        for number in range(1, 11):
            await until(lambda most=10 * number: asked > most)
            name = names[number % 2]
            site.write(name)
            events.reload()
        running = False
        await asyncio.gather(*loads)
