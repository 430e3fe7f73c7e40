"""Connections over loopback to servers that answer each line, and their outcomes."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from evframe_connections import Link, Publication, Server
from stream_servers import StreamServer

from evframe import Batch, Unavailable
from evframe.plugin import Resolver
from evframe.testing import FakeNames, until


class Line(Link):
    """Sends lines, each of which is answered."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self._asked = []
        self._task = asyncio.create_task(self._read())

    async def _read(self):
        while await self._reader.readline():
            self._asked.pop(0).set_result(None)

    def ask(self):
        self._asked.append(asyncio.get_running_loop().create_future())
        self._writer.write(b"ask\n")
        return self._asked[-1]

    @property
    def ip(self):
        return self._writer.get_extra_info("peername")[0]

    @property
    def is_open(self):
        return not self._task.done() and not self._writer.is_closing()

    @property
    def under_way(self):
        return list(self._asked)

    async def close(self):
        self._writer.close()

    def cut(self):
        self._writer.transport.abort()


class LineServer(Server[Line]):
    async def _connect(self, host, addresses):
        del host
        try:
            return Line(*await asyncio.open_connection(addresses[0].ip, addresses[0].sockaddr[1]))
        except OSError:
            raise Unavailable("refused") from None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()


class Answering(StreamServer):
    """A server whose answers wait while they are held."""

    def __init__(self, host, port):
        super().__init__(self.serve, host, port)
        self.lines = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def serve(self, reader, writer):
        while await reader.readline():
            self.lines += 1
            await self.may_answer.wait()
            writer.write(b"answer\n")


@asynccontextmanager
async def answering(address="127.0.0.1", port=0):
    """Yield a server, and its port."""
    async with Answering(address, port) as made:
        yield made, made.port
        await made.ended()


async def test_a_connection_is_made_when_it_is_needed():
    """It is used again, and exchanged when it has ended; the next one is made at once."""
    async with answering() as (peer, port), LineServer([("127.0.0.1", port)], Resolver(), 10.0) as server:
        assert peer.accepted == 0
        first, second = await asyncio.gather(server.link(), server.link())
        assert first is second
        await first.ask()
        peer.reset()
        await until(lambda: not first.is_usable)
        other = await server.link()
        await other.ask()
        assert other is not first


async def test_the_host_that_works_is_used():
    """Each host is tried once in an attempt; the one that works stays the first."""
    async with answering() as (peer, port):
        async with LineServer([("127.0.0.1", 1), ("127.0.0.1", port)], Resolver(), 10.0) as server:
            for _ in range(3):
                await (await server.link()).ask()
                server.retire()
    with pytest.raises(Unavailable, match="refused"):
        await server.link()
    assert peer.lines == 3


async def test_a_host_that_moves():
    """What was sent gets its outcome on the old connection, what comes then goes over another one."""
    with FakeNames({"line.example": ["127.0.0.1"]}) as names:
        resolver = Resolver()
        resolver.lookup = names
        async with (
            answering() as (old, port),
            answering("127.0.0.2", port) as (new, _),
            LineServer([("line.example", port)], resolver, 10.0) as server,
        ):
            link = await server.link()
            old.may_answer.clear()
            asked = link.ask()
            await until(lambda: old.lines)
            names["line.example"] = ["127.0.0.2"]
            while (addresses := await resolver.addresses("line.example", port))[0].ip != "127.0.0.2":
                resolver.forget("line.example")
            server.moved("other.example", addresses)
            assert link.is_usable
            server.moved("line.example", addresses)
            assert not link.is_usable
            await (await server.link()).ask()
            assert (old.lines, new.lines, asked.done()) == (1, 1, False)
            old.may_answer.set()
            await asked
            await old.ended()


async def test_an_end_waits_for_no_outcome():
    """Neither the connection at hand nor one that it has taken over from is waited for."""
    async with answering() as (peer, port):
        async with LineServer([("127.0.0.1", port)], Resolver(), 3600.0) as server:
            peer.may_answer.clear()
            (await server.link()).ask()
            server.retire()
            (await server.link()).ask()
            await until(lambda: peer.lines == 2)
        peer.may_answer.set()


async def test_greatest_age():
    """A connection is exchanged when it has reached its age."""
    async with (
        answering() as (_, port),
        LineServer([("127.0.0.1", port)], Resolver(), 10.0, max_age_s=0.01) as server,
    ):
        link = await server.link()
        await until(lambda: not link.is_usable)


class Kept:
    """A queue whose events outlive the process, as far as a batch asks for it."""

    is_kept = True


@pytest.mark.parametrize("is_kept", [False, True])
async def test_outcomes_of_a_batch(is_kept):
    """Each message is taken, failed or sent again; what a set-up mends fails only where events do not outlive us."""
    batch = Batch([None] * 5, queue=Kept()) if is_kept else Batch([None] * 5)
    messages = Publication(batch, mendable=("full",), later=("busy",))
    messages.settle(0)
    messages.fail(1, "too_large")
    messages.fail(2, "full")
    messages.fail(3, "busy")
    messages.fail(3, "too_large")  # has its outcome already
    assert not messages.done.done()
    messages.lost("closed")
    assert messages.done.done()
    messages.report()

    assert messages.problem == ("full" if is_kept else "busy")
    assert batch.failures == ({1: "too_large"} if is_kept else {1: "too_large", 2: "full"})
    assert batch.confirmed == {0}


async def test_a_batch_whose_messages_are_all_taken():
    """Nothing has to be reported of it."""
    batch = Batch([None] * 3)
    messages = Publication(batch)
    messages.settle(*range(3))
    messages.report()
    assert (messages.done.done(), messages.problem, batch.failures, batch.confirmed) == (True, None, {}, frozenset())
