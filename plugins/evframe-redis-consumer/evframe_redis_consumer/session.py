"""The time of two connections: one reads entries, the other one acknowledges them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
from evframe_ingest import Refused
from evframe_redis_clients.addresses import Address
from evframe_redis_clients.connection import Connection, Limits, bounded, connect, problem_of
from evframe_redis_clients.replies import code_of, command, word_of
from evframe_wire.tls import client_context
from redis import exceptions

from evframe import Unavailable
from evframe.plugin import HostAddress, Resolver, without_tracebacks
from evframe_redis_consumer.entries import Entries, Entry
from evframe_redis_consumer.options import ConnectionOptions

MOVED: Final = "moved"
_BLOCK_MS: Final = 250  # how long a read waits for entries, and therefore an end for a read
_MOST: Final = 200  # entries in one go
_CLOSE_S: Final = 2.0
_BEGIN: Final = b"0-0"
_YEAR_MS: Final = b"31536000000"


class Session:
    """Reads entries, and acknowledges them, until a connection ends.

    Args:
        options: of the stream.
        consumer: the name in the group.
        entries: raises the events, and has the answers.
        resolver: looks the host up.
    """

    def __init__(self, options: ConnectionOptions, consumer: str, entries: Entries, resolver: Resolver) -> None:
        self._options, self._entries, self._resolver = options, entries, resolver
        self._group = (options.stream.encode(), options.group.encode())
        self._consumer = consumer.encode()
        self._connections: list[Connection] = []
        self._tasks: list[asyncio.Task[None]] = []  # the reader and the writer
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._takes = True
        self._closing = False

    async def open(self) -> None:
        """Connect, and begin to consume.

        Raises:
            Unavailable: if the server cannot be reached, or has no such group.
        """
        host, port = self._options.endpoint
        found = await self._resolver.addresses(host, port)
        limits = Limits(self._options.connect_timeout_ms, self._options.login_timeout_ms)
        address = self._address()
        tls = None
        if address.is_encrypted:
            tls = await asyncio.to_thread(client_context, self._options.ca_file, self._options.cert_file)
        try:
            for _ in range(2):
                self._connections.append(await connect(address, found, tls, limits, self._options.client_name))
            if self._options.create:
                await self._make_group()
            await self._take_history()
        except Unavailable:
            self._resolver.forget(host)
            raise
        for work in (self._read(), self._write()):
            task = asyncio.create_task(work)
            task.add_done_callback(self._end_with)
            self._tasks.append(task)

    def _address(self) -> Address:
        address = Address.of(self._options.url)
        if self._options.password_file is None:
            return address
        with open(self._options.password_file, encoding="utf-8") as file:
            return attrs.evolve(address, password=file.readline().rstrip("\r\n"))

    async def ended(self) -> str:
        """Wait until a connection has ended, and return the reason."""
        return await self._ended

    def _end_with(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):  # also of a reply that has not the form of an answer to the command
            self._end(problem_of(error))

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    def moved(self, addresses: Sequence[HostAddress]) -> None:
        """End when a connection is to none of *addresses*."""
        if any(all(address.ip != each.ip for address in addresses) for each in self._connections):
            self._end(MOVED)

    async def _ask(self, connection: Connection, *words: bytes, more_ms: float = 0) -> Any:
        async with bounded(self._options.timeout_ms + more_ms, "timeout", connection.cut):
            return await connection.ask(*words)

    async def _make_group(self) -> None:
        start = self._entries.last_id or self._options.start.encode()  # of a group that was deleted meanwhile
        reader = self._connections[0]
        async with bounded(self._options.timeout_ms, "timeout", reader.cut):
            with suppress(exceptions.ResponseError):  # it exists, or a read shows what is wrong
                await reader.ask(b"XGROUP", b"CREATE", *self._group, start, b"MKSTREAM")

    # Entries that come

    async def _read(self) -> None:
        due = 0.0
        while self._takes:
            if time.monotonic() >= due:
                try:
                    await self._claim()
                finally:
                    self._entries.ended = None
                due = time.monotonic() + self._options.claim_idle_ms / 2000
            await self._room()
            if not self._takes:
                return
            for id_, fields in await self._entries_from(b">"):
                if self._takes:  # else they stay with this consumer, and are left to others at the end
                    await self._entries.take(id_, fields)
                    self._entries.last_id = id_

    async def _room(self) -> None:
        while self._takes and self._entries.room <= 0:
            self._entries.has_room.clear()
            await self._entries.has_room.wait()

    async def _entries_from(self, after: bytes) -> Sequence[tuple[bytes, Any]]:
        """Return the next entries: new ones of the group for ``>``, else those of this consumer behind the id."""
        count = _MOST  # entries that it has had before, which it has room for
        block: tuple[bytes, ...] = ()
        if after == b">":
            count, block = min(self._entries.room, _MOST), (b"BLOCK", b"%d" % _BLOCK_MS)
        words = (b"XREADGROUP", b"GROUP", self._group[1], self._consumer, b"COUNT", b"%d" % count, *block)
        reply = await self._ask(self._connections[0], *words, b"STREAMS", self._group[0], after, more_ms=_BLOCK_MS)
        return reply[0][1] if reply else ()

    async def _take_history(self) -> None:
        """Take what the server has given this consumer before, in an answer that was lost, or to another process."""
        last = _BEGIN
        while found := await self._entries_from(last):
            for id_, fields in found:
                await self._entries.take(id_, fields)
                last = id_

    async def _claim(self) -> None:
        """Take over what consumers that say nothing have left behind."""
        reader, cursor = self._connections[0], _BEGIN
        idle = b"%d" % self._options.claim_idle_ms
        while self._takes and self._entries.room > 0:
            count = b"%d" % min(self._entries.room, _MOST)
            words = (*self._group, self._consumer, idle, cursor, b"COUNT", count)
            self._entries.ended = set()
            cursor, found, *_ = await self._ask(reader, b"XAUTOCLAIM", *words)
            found = [each for each in found if each is not None and not self._entries.has(each[0])]
            times = await self._times_of(found) if self._options.max_deliveries else {}
            for id_, fields in found:
                self._entries.counts.claimed += 1
                left = times.get(id_, 1) - 1
                if left > self._options.max_deliveries and fields is not None:
                    self._entries.refuse(id_, fields, Refused("deliveries", f"consumers have left it {left} times"))
                else:
                    await self._entries.take(id_, fields)
            if cursor == _BEGIN:
                return

    async def _times_of(self, found: Sequence[Any]) -> Mapping[bytes, int]:
        """Return how often each entry was given to a consumer."""
        if not found:
            return {}
        most = b"%d" % (len(found) + len(self._entries.open))  # our own ones may be between them
        words = (*self._group, found[0][0], found[-1][0], most, self._consumer)
        return {id_: times for id_, _, _, times in await self._ask(self._connections[0], b"XPENDING", *words)}

    # Answers

    async def _write(self) -> None:
        self._entries.answered.set()  # there may be some since the last connection
        every_s = self._options.claim_idle_ms / 3000
        due = time.monotonic() + every_s
        while not (self._closing and not self._entries.answers):
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await self._entries.answered.wait()
            self._entries.answered.clear()
            while self._entries.answers:
                await self._send_answers()
            if time.monotonic() >= due:
                await self._show_life()
                due = time.monotonic() + every_s

    async def _send_answers(self) -> None:
        answers = list(self._entries.answers.items())[:_MOST]
        letters = [self._entries.open[id_] for id_, answer in answers if answer == "reject"]
        refused = await self._send_letters(letters) if letters and self._options.dead_letters is not None else set()
        ids = [id_ for id_, _ in answers if id_ not in refused]
        if ids:
            await self._ask(self._connections[1], b"XACK", *self._group, *ids)
            self._entries.done(ids)

    async def _send_letters(self, letters: Sequence[Entry]) -> set[bytes]:
        """Add entries to the stream of dead letters, and return the ids of those that were refused."""
        writer, refused = self._connections[1], set()
        async with bounded(self._options.timeout_ms, "timeout", writer.cut):
            await writer.send_packed_command(b"".join(map(self._letter, letters)), check_health=False)
            for entry in letters:
                try:
                    await writer.read_response(disable_decoding=True)
                except exceptions.ResponseError as error:
                    self._entries.unsent(entry.id, word_of(code_of(without_tracebacks(error)), str(error)))
                    refused.add(entry.id)
        return refused

    def _letter(self, entry: Entry) -> bytes:
        more = (b"evframe.reason", entry.reason.encode(), b"evframe.stream", self._group[0], b"evframe.entry", entry.id)
        assert self._options.dead_letters is not None
        return command(b"XADD", self._options.dead_letters.encode(), b"*", *entry.words, *more)

    async def _show_life(self) -> None:
        """Have the server count the idle time of open entries from now on, so that they are not taken over."""
        ids = [id_ for id_ in self._entries.open if id_ not in self._entries.answers]
        for first in range(0, len(ids), _MOST):
            words = (*self._group, self._consumer, b"0", *ids[first : first + _MOST], b"JUSTID")
            await self._ask(self._connections[1], b"XCLAIM", *words)

    # Ends

    def take_no_more(self) -> None:
        """Leave the entries to come to others; those that came are answered until the session is closed."""
        self._takes = False
        self._entries.has_room.set()

    async def close(self) -> None:
        """Answer what has its outcome, leave the rest to others, and end the connections, within a bound."""
        self.take_no_more()
        self._closing = True
        self._entries.answered.set()
        try:
            with suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(_CLOSE_S):
                    await asyncio.gather(*self._tasks)
                    if self._tasks:
                        await self._leave()
        finally:
            self.cut()

    async def _leave(self) -> None:
        """Let others take at once what has no answer; without any, leave the group, which nothing is read for now."""
        writer = self._connections[1]
        most = b"%d" % (self._options.prefetch + _MOST)
        pending = await self._ask(writer, b"XPENDING", *self._group, b"-", b"+", most, self._consumer)
        ids = [each[0] for each in pending]
        for first in range(0, len(ids), _MOST):
            words = (*self._group, self._consumer, b"0", *ids[first : first + _MOST], b"IDLE", _YEAR_MS, b"JUSTID")
            await self._ask(writer, b"XCLAIM", *words)
        if not ids and self._options.consumer is None:
            await self._ask(writer, b"XGROUP", b"DELCONSUMER", *self._group, self._consumer)

    def cut(self) -> None:
        """End at once."""
        self._takes, self._closing = False, True
        for task in self._tasks:
            task.cancel()
        for each in self._connections:
            each.cut()
