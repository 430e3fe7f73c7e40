"""Reliable mode: an event is delivered when the peer has answered its request."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Iterator
from typing import Any, Final

from evframe_wire.framing import Splitter
from evframe_wire.visible import brief

from evframe import Unavailable
from evframe.plugin import Resolver
from evframe_stream.chunk import Chunk
from evframe_stream.connection import Connection, Endpoint
from evframe_stream.options import Options

_ID_DIGITS: Final = 10
_MAX_REPLY_BYTES: Final = 1 << 20


class AnsweredConnection(Connection):
    """Matches replies to requests by id, in any order; a request without one fails at its deadline.

    The deadline counts from the raise of an event, or from the connection that it had to wait for. An event that is
    kept has it from its request on, because it may have waited for others; it is tried again on a new connection.

    Args:
        endpoint, options, resolver: see `Connection`.
    """

    def __init__(self, endpoint: Endpoint, options: Options, resolver: Resolver) -> None:
        super().__init__(endpoint, options, resolver)
        self._timeout_s = options.timeout_ms / 1000
        self._chunks: dict[int, Chunk] = {}  # by first id, in the order of sending
        self._pending: dict[int, Chunk] = {}
        self._splitter = Splitter(_MAX_REPLY_BYTES)
        self._opened_at = 0.0
        self._deadlines: list[tuple[float, int, int]] = []  # when, the chunk's first id, its event
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def send(self, chunk: Chunk) -> asyncio.Future[None]:
        """Write *chunk*, or open the connection for it; see `Connection`."""
        self._chunks[chunk.first_id] = chunk
        if self.is_open:
            self._write(chunk)
        else:
            self.open()
        return chunk.future

    def opened(self) -> None:
        """Write what waits."""
        self._splitter = Splitter(_MAX_REPLY_BYTES)
        self._opened_at = time.monotonic()
        for chunk in list(self._chunks.values()):
            self._write(chunk)

    def _write(self, chunk: Chunk) -> None:
        first = chunk.first_id
        if not chunk.messages:  # it only asks whether the peer can be reached
            del self._chunks[first]
            chunk.settle()
            return
        self._pending.update(dict.fromkeys(range(first, first + len(chunk.messages)), chunk))
        self._expect(chunk, 0)
        self.write_chunk(chunk)

    def received(self, data: bytes) -> None:
        """Settle the requests that *data* answers."""
        for value in self._splitter.read(data):
            for reply in value if isinstance(value, list) else (value,):
                if isinstance(reply, dict):
                    self._answer(reply)

    def _answer(self, reply: dict[str, Any]) -> None:
        request_id = _number(_member(reply, "id"))
        chunk = self._pending.pop(request_id, None)
        if chunk is None:
            return  # late, or not ours
        problem = _member(reply, "error")
        if problem is not None:
            error = RuntimeError(f"the peer has replied with {brief(problem)}")
            chunk.batch.fail(request_id - chunk.first_id, "error_reply", error)
        self._count(chunk)

    def _count(self, chunk: Chunk) -> None:
        chunk.missing -= 1
        if not chunk.missing:
            del self._chunks[chunk.first_id]
            chunk.settle()
            if self._is_leaving:
                self.leave()

    def leave(self) -> None:
        """See `Connection`; what is under way is over when each request has its reply, or its time is over."""
        if not self._pending and self._kernel is not None:
            # Not from within the loop over the replies.
            self.loop.call_soon(self._drop, self._kernel, "closed")

    def _expect(self, chunk: Chunk, index: int) -> None:
        """Have the clock look at the event at *index*, or at the first after it without a reply."""
        while index < len(chunk.messages):
            if chunk.first_id + index in self._pending:
                event = chunk.batch.events[index]
                start = time.monotonic() if chunk.batch.is_kept else max(event.since, self._opened_at)
                heapq.heappush(self._deadlines, (start + self._timeout_s, chunk.first_id, index))
                self._set_timer()
                return
            index += 1

    def _set_timer(self) -> None:
        at = self._deadlines[0][0]
        if self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self.loop.call_later(max(0.0, at - time.monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, first_id, index = heapq.heappop(self._deadlines)
            chunk = self._chunks.get(first_id)
            if chunk is None:
                continue
            if chunk.batch.is_kept and self._kernel is not None and first_id + index in self._pending:
                self._drop(self._kernel, "timeout")  # with what the peer has not read: it comes again
                return
            if self._pending.pop(first_id + index, None) is not None:
                chunk.batch.fail(index, "timeout")
                self._count(chunk)
            self._expect(chunk, index + 1)
        if self._deadlines:
            self._set_timer()

    def lost(self, reason: str, acknowledged: int) -> None:  # noqa: ARG002 what counts are replies
        """Give back what is not answered; see `Connection`."""
        if self._is_leaving and not self._pending and not self._is_closed:
            self._is_leaving = False
            if self._chunks:
                self.open()
            return
        chunks, self._chunks = self._chunks, {}
        pending, self._pending = self._pending, {}
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for chunk in chunks.values():
            if chunk.end:
                for index in _answered(chunk, pending):
                    chunk.batch.confirm(index)
            chunk.give_back(Unavailable(reason))


def _answered(chunk: Chunk, pending: dict[int, Chunk]) -> Iterator[int]:
    for index in range(len(chunk.messages)):
        if chunk.first_id + index not in pending and index not in chunk.batch.failures:
            yield index


def _number(request_id: Any) -> int:
    """Return an id as a number, which it may be as text too; 0, which none of ours has, for anything else."""
    if isinstance(request_id, str):
        is_id = request_id.isascii() and request_id.isdigit() and len(request_id) <= _ID_DIGITS
    elif isinstance(request_id, float):
        is_id = request_id.is_integer()  # which infinity is not
    else:
        is_id = type(request_id) is int
    return int(request_id) if is_id else 0


def _member(reply: dict[str, Any], name: str) -> Any:
    """Return a member whatever the case of its name."""
    if name in reply:
        return reply[name]
    return next((value for key, value in reply.items() if key.lower() == name), None)
