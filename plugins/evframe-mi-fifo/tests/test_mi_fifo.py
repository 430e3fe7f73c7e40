"""Requests written into a FIFO, and the FIFOs that answer them."""

import asyncio
import fcntl
import itertools
import os
import stat
from contextlib import asynccontextmanager

import pytest
from evframe_mi import Management
from evframe_mi.testing import ManagementContract
from evframe_mi_fifo import FifoManagement, Options

import evframe
from evframe.plugins.commands import Command
from evframe.testing import until

PWD = b'{"jsonrpc":"2.0","method":"pwd","id":1}'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "replies").mkdir()
    return tmp_path


class Client:
    """A client with one FIFO for replies."""

    numbers = itertools.count()

    def __init__(self, folder):
        self.fifo = str(folder / "fifo")
        self.name = f"reply_{next(self.numbers)}"
        self.reply = str(folder / "replies" / self.name)
        os.mkfifo(self.reply)

    async def send(self, data):
        """Write everything, as it fits."""
        fd = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        try:
            async with asyncio.timeout(10):
                while data:
                    try:
                        data = data[os.write(fd, data) :]
                    except BlockingIOError:
                        await asyncio.sleep(0.001)
        finally:
            os.close(fd)

    async def request(self, text):
        await self.send(b":%b:%b" % (self.name.encode(), text))

    async def receive(self):
        """Return everything up to the end of the reply, which may be empty."""
        with open(os.open(self.reply, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as fifo:
            return await self.rest(fifo)

    @staticmethod
    async def rest(fifo):
        loop = asyncio.get_running_loop()
        something = asyncio.Event()
        # The end is something too, once somebody has had it open for writing.
        loop.add_reader(fifo, something.set)
        got = b""
        try:
            async with asyncio.timeout(10):
                while True:
                    await something.wait()
                    piece = fifo.read(65536)
                    if piece == b"":
                        return got
                    got += piece or b""
                    something.clear()
        finally:
            loop.remove_reader(fifo)

    async def ask(self, text):
        await self.request(text)
        return await self.receive()


def plugin(folder, **options):
    return FifoManagement(
        Options(**{"fifo_name": str(folder / "fifo"), "reply_dir": str(folder / "replies"), **options})
    )


def gateway(folder, **options):
    return evframe.EventInterface(plugins={"mi": Management(), "mi-fifo": plugin(folder, **options)})


def counts(events):
    return events.commands.find("mi_fifo:counters").run({})


class TestFifo(ManagementContract):
    """The table over a FIFO."""

    @pytest.fixture(autouse=True)
    def place(self, folder):
        self.folder = folder

    def plugin(self):
        return plugin(self.folder)

    @asynccontextmanager
    async def travel(self, events):
        client = Client(self.folder)

        async def ask(request):
            return await client.ask(request) or None

        yield ask
        os.unlink(client.reply)


async def test_nothing_without_a_name():
    """Without a FIFO's name nothing is made, and the plugin is loaded."""
    async with evframe.EventInterface(plugins={"mi": Management()}):
        alone = len(asyncio.all_tasks())
    async with evframe.EventInterface(plugins={"mi": Management(), "mi-fifo": FifoManagement()}) as events:
        assert events.plugin("mi-fifo") is not None
        assert len(asyncio.all_tasks()) == alone


async def test_bytes_of_the_reply(folder):
    """A reply is one line without a newline, and then the end."""
    async with gateway(folder):
        client = Client(folder)
        assert await client.ask(b' {"jsonrpc": "2.0", "id": "77", "method": "help", "params": {}}\n') == (
            b'{"jsonrpc":"2.0","result":"Usage: help mi_cmd - returns information about \'mi_cmd\'","id":"77"}'
        )


async def test_split_request_q11(folder):
    """Q-11: a request that comes in pieces is answered."""
    async with gateway(folder):
        client = Client(folder)
        await client.send(b":" + client.name.encode())
        await asyncio.sleep(0.01)
        await client.send(b":" + PWD[:10])
        await asyncio.sleep(0.01)
        await client.send(PWD[10:])
        assert b'"result"' in await client.receive()


async def test_no_json_q11(folder):
    """Q-11: what is no JSON, or never becomes any, is answered on the reply's FIFO; others are answered meanwhile."""
    async with gateway(folder):
        broken, other = Client(folder), Client(folder)
        for text in (b"garbage", b"{bad", b'{"jsonrpc":"2.0",', b'"half'):
            await broken.request(text)
            assert b'"result"' in await other.ask(PWD)
            assert await broken.receive() == TestFifo.not_json


async def test_several_requests_in_one_write(folder):
    """Requests may follow each other, with or without a reply, and those of a client stay in order."""
    async with gateway(folder) as events:
        done = []
        events.commands.add(Command("test:note", (("n",),), lambda params: done.append(params["n"])))
        note = b'{"jsonrpc":"2.0","method":"test:note","params":[%d]}'
        client = Client(folder)
        await client.send(b"::" + note % 1 + b"\n::" + note % 2 + b":" + client.name.encode() + b":" + PWD)
        assert b'"result"' in await client.receive()
        for number in range(3, 6):
            await client.request(note % number)
        assert await client.receive() == b""
        await until(lambda: len(done) >= 3)
        assert done == [1, 2, 3, 4, 5][: len(done)]


async def test_opened_and_closed_without_a_byte(folder):
    """A client that looks whether the FIFO exists does no harm, and always finds a reader."""
    async with gateway(folder) as events:
        for _ in range(10):
            os.close(os.open(folder / "fifo", os.O_WRONLY | os.O_NONBLOCK))
            await asyncio.sleep(0)
        assert b'"result"' in await Client(folder).ask(PWD)
        assert counts(events)["requests"] == 1


async def test_reply_without_a_reader(folder):
    """A client that does not open its FIFO delays no other, and its command does not run."""
    async with gateway(folder) as events:
        done = []
        events.commands.add(Command("test:note", ((),), lambda _: done.append(1)))
        absent, other = Client(folder), Client(folder)
        await absent.request(b'{"jsonrpc":"2.0","method":"test:note","id":1}')
        for _ in range(20):
            assert b'"result"' in await other.ask(PWD)
        await until(lambda: counts(events)["refused"] == 1)
        assert not done


async def test_reader_that_stalls(folder):
    """A client that does not read delays no other, and its reply is given up in time."""
    async with gateway(folder, reply_timeout_ms=100) as events:
        events.commands.add(Command("test:long", ((),), lambda _: "x" * 500_000))
        slow, other = Client(folder), Client(folder)
        fd = os.open(slow.reply, os.O_RDONLY | os.O_NONBLOCK)
        try:
            await slow.request(b'{"jsonrpc":"2.0","method":"test:long","id":1}')
            for _ in range(20):
                assert b'"result"' in await other.ask(PWD)
            await until(lambda: counts(events)["lost"] == 1)
        finally:
            os.close(fd)


async def test_reader_that_leaves(folder):
    """A client that closes its FIFO half-way loses its reply, and nothing else happens."""
    async with gateway(folder) as events:
        events.commands.add(Command("test:long", ((),), lambda _: "x" * 500_000))
        client = Client(folder)
        fd = os.open(client.reply, os.O_RDONLY | os.O_NONBLOCK)
        await client.request(b'{"jsonrpc":"2.0","method":"test:long","id":1}')
        await until(lambda: counts(events)["requests"])
        await asyncio.sleep(0.01)
        os.close(fd)
        await until(lambda: counts(events)["lost"] == 1)
        assert b'"result"' in await client.ask(PWD)


async def test_many_requests_of_one_that_does_not_read(folder):
    """However often a client asks without reading, others are answered, and what it asked is dropped with its reply."""
    async with gateway(folder) as events:
        done = []
        events.commands.add(Command("test:note", ((),), lambda _: done.append(1)))
        absent, other = Client(folder), Client(folder)
        for _ in range(1500):
            await absent.request(b'{"jsonrpc":"2.0","method":"test:note","id":1}')
        for _ in range(20):
            assert b'"result"' in await other.ask(PWD)
        assert counts(events)["refused"] >= 1500 - 65
        await until(lambda: counts(events)["refused"] == 1500)
        assert not done


async def test_more_clients_than_are_served_at_once(folder):
    """Clients that do not read, and more of them than are served at once, hold up others until they are given up."""
    async with gateway(folder) as events:
        client = Client(folder)
        absent = Client(folder)
        for number in range(1100):
            os.mkfifo(f"{absent.reply}_{number}")
            await client.send(b":%b_%d:%b" % (absent.name.encode(), number, PWD))
        assert b'"result"' in await client.ask(PWD)
        await until(lambda: counts(events)["refused"] == 1100)


@pytest.mark.parametrize(
    "name", ["../elsewhere", "a.b", "a\\b", "missing", "file", "symbolic", "hard", "folder", "a\0b"]
)
async def test_replies_go_nowhere_else(folder, name):
    """A reply goes into a FIFO of the reply directory, and nowhere else; without one the command does not run."""
    replies = folder / "replies"
    os.mkfifo(folder / "elsewhere")
    (replies / "file").write_text("as it was")
    (replies / "folder").mkdir()
    (replies / "symbolic").symlink_to(folder / "elsewhere")
    os.link(folder / "elsewhere", replies / "hard")
    reader = os.open(folder / "elsewhere", os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with gateway(folder) as events:
            done = []
            events.commands.add(Command("test:note", ((),), lambda _: done.append(1)))
            client = Client(folder)
            await client.send(b":%b:" % name.encode() + b'{"jsonrpc":"2.0","method":"test:note","id":1}')
            assert b'"result"' in await client.ask(PWD)
            await until(lambda: counts(events)["refused"] == 1)
        assert not done
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)
    assert (replies / "file").read_text() == "as it was"


@pytest.mark.parametrize("end", ["", "/", "//"])
async def test_reply_dir_q23(folder, end):
    """Q-23: the reply directory may end with a slash or not."""
    async with gateway(folder, reply_dir=f"{folder}/replies{end}"):
        assert b'"result"' in await Client(folder).ask(PWD)


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
async def test_deleted_fifo_q16(folder, how, monkeypatch):
    """Q-16: a FIFO that is gone is made again."""
    monkeypatch.setattr("evframe_mi_fifo.inlet._LOOK_EVERY_S", 0.02)
    path = folder / "fifo"
    async with gateway(folder) as events:
        if how == "deleted":
            path.unlink()
        elif how == "moved":
            path.rename(folder / "old")
        else:
            os.mkfifo(folder / "new")
            (folder / "new").rename(path)
        await until(lambda: _is_read(path))
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        assert b'"result"' in await Client(folder).ask(PWD)
        assert events.status.group("mi-fifo").find().ready
    assert not path.exists()


def _is_read(path):
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


async def test_what_somebody_else_put_there_stays_q16(folder, monkeypatch):
    """Q-16: a file in place of the FIFO stays, the status shows it, and the FIFO is made when it has gone."""
    monkeypatch.setattr("evframe_mi_fifo.inlet._LOOK_EVERY_S", 0.02)
    path = folder / "fifo"
    async with gateway(folder) as events:
        path.unlink()
        path.write_text("theirs")
        health = events.status.group("mi-fifo").find()
        await until(lambda: not health.ready)
        assert path.read_text() == "theirs"
        path.unlink()
        await until(lambda: health.ready)
        assert b'"result"' in await Client(folder).ask(PWD)


async def test_fifo_of_another_gateway(folder):
    """Two interfaces do not fight over a path: the second one says that it is in use, the first keeps it."""
    async with gateway(folder):
        with pytest.raises(OSError, match="plugins.mi-fifo.fifo_name: .*in use"):
            async with gateway(folder):
                pass
        assert b'"result"' in await Client(folder).ask(PWD)


async def test_stale_fifo(folder):
    """A FIFO left over is taken over, has its mode, and is removed at the end."""
    os.mkfifo(folder / "fifo", 0o600)
    async with gateway(folder, fifo_mode="622"):
        assert stat.S_IMODE(os.stat(folder / "fifo").st_mode) == 0o622
    assert not (folder / "fifo").exists()


async def test_file_in_place_of_the_fifo(folder):
    """A file that is no FIFO is an error of the start, and stays."""
    (folder / "fifo").write_text("theirs")
    with pytest.raises(OSError, match="plugins.mi-fifo.fifo_name: .*expected nothing, or a FIFO"):
        async with gateway(folder):
            pass
    assert (folder / "fifo").read_text() == "theirs"


async def test_missing_reply_dir(folder):
    """A reply directory that does not exist is an error of the start."""
    with pytest.raises(OSError, match="plugins.mi-fifo.reply_dir: expected a directory"):
        async with gateway(folder, reply_dir=f"{folder}/nosuch"):
            pass


async def test_small_pipe(folder):
    """A reply is written however little of it fits at a time."""
    async with gateway(folder) as events:
        events.commands.add(Command("test:long", ((),), lambda _: "x" * 200_000))
        client = Client(folder)
        with open(os.open(client.reply, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as fifo:
            fcntl.fcntl(fifo, fcntl.F_SETPIPE_SZ, 4096)
            await client.request(b'{"jsonrpc":"2.0","method":"test:long","id":1}')
            assert len(await client.rest(fifo)) == 200_000 + len('{"jsonrpc":"2.0","result":"","id":1}')


async def test_pretty_printing(folder):
    """One member per line."""
    async with gateway(folder, pretty_printing=True):
        assert (await Client(folder).ask(PWD)).startswith(b'{\n\t"jsonrpc":\t"2.0"')


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"fifo_name": "fifo"}, "fifo_name: expected an absolute path"),
        ({"fifo_name": "/a\0"}, "fifo_name: expected an absolute path"),
        ({"reply_dir": "tmp"}, "reply_dir: expected an absolute path"),
        ({"fifo_mode": "rw"}, "fifo_mode: expected an octal mode"),
        ({"fifo_user": "no such user"}, "fifo_user: expected a user's name or id"),
        ({"fifo_group": "no such group"}, "fifo_group: expected a group's name or id"),
        ({"reply_timeout_ms": 0}, "reply_timeout_ms: expected 1 or more"),
        ({"max_request_bytes": 0}, "max_request_bytes: expected 1 or more"),
    ],
)
def test_bad_options(options, problem):
    """A value that does not fit is an error that names its option."""
    with pytest.raises(ValueError, match=f"^{problem}"):
        Options(**options)
