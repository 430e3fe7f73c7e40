"""Plain mode: an event is delivered when the peer's kernel has acknowledged it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from contextlib import suppress
from typing import Final

from evframe_wire.backoff import delay_s

from evframe import Unavailable
from evframe.plugin import Resolver
from evframe_stream.chunk import Chunk
from evframe_stream.connection import Connection, Endpoint
from evframe_stream.options import Options
from evframe_stream.recent import RecentlyAcknowledged

_FIRST_POLL_S: Final = 0.0005
_LAST_POLL_S: Final = 0.02
_LONGEST_DELAY_S: Final = 30.0
_LONGEST_LEAVE_S: Final = 10.0
_MOST_WAITS: Final = 2  # how often `resend_s` an end may be waited for


class Copy:
    """Bytes of events that have their outcome: a connection was lost on which they may not have been read."""

    __slots__ = ("data", "end", "times")

    def __init__(self, data: bytes, end: int, times: int) -> None:
        self.data = data
        self.end = end
        self.times = times  # that they were sent again

    def settle(self) -> None:
        """Do nothing: the outcome is known."""


class AcknowledgedConnection(Connection):
    """Settles each chunk when all of it is acknowledged.

    A connection has ended in good order when the peer has closed it, all that was written is
    acknowledged, and no reset follows. After any other end, what was not acknowledged is sent again,
    and before it what was acknowledged recently.

    Args:
        endpoint, options, resolver: see `Connection`.
    """

    def __init__(self, endpoint: Endpoint, options: Options, resolver: Resolver) -> None:
        super().__init__(endpoint, options, resolver)
        self._resend_s = options.resend_ms / 1000
        self._waiting: deque[Chunk] = deque()  # for a connection
        self._written: deque[Chunk | Copy] = deque()  # on the connection, and not acknowledged
        self._recent = RecentlyAcknowledged(self._resend_s)
        self._again: list[tuple[bytes, int]] = []  # first on the next connection, and how often it was sent again
        self._ended_at = 0.0  # the peer's side, or this one
        self._is_in_order = False  # the end of the connection
        self._lost_in_a_row = 0
        self._poll_s = _FIRST_POLL_S
        self._is_resting = False  # the timer forgets, and looks at nothing
        self._timer: asyncio.TimerHandle | None = None
        self._reopening: asyncio.TimerHandle | None = None

    def send(self, chunk: Chunk) -> asyncio.Future[None]:
        """Write *chunk*, or open the connection for it; see `Connection`."""
        if self.is_open:
            self._write(chunk)
        else:
            self._waiting.append(chunk)
            self.open()
        return chunk.future

    def opened(self) -> None:
        """Write again what may not have been read, then what waits."""
        again, self._again = self._again, []
        for data, times in again:
            self._written.append(Copy(data, self.write(data), times + 1))
        waiting, self._waiting = self._waiting, deque()
        for chunk in waiting:
            self._write(chunk)
        self._watch_soon()

    def _write(self, chunk: Chunk) -> None:
        if not chunk.messages:  # it only asks whether the peer can be reached
            chunk.settle()
            return
        self.write_chunk(chunk)
        self._written.append(chunk)
        self._watch_soon()

    def _watch_soon(self) -> None:
        if self._timer is not None and self._is_resting:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and self._written:
            self._recent.forget()
            self._set_timer(_FIRST_POLL_S)

    def _set_timer(self, delay_s: float, *, is_resting: bool = False) -> None:
        self._is_resting = is_resting
        self._timer = self.loop.call_later(delay_s, self._poll)
        self._poll_s = min(_LAST_POLL_S, delay_s * 2)

    def received(self, data: bytes) -> None:
        """Ignore it: no request asked for it."""

    def leave(self) -> None:
        """See `Connection`; the peer reads to the end of the stream, which its own end confirms."""
        self._ended_at = time.monotonic()
        self._watch_now()

    def _leave_when_over(self) -> None:
        assert self._kernel is not None
        waited_s = time.monotonic() - self._ended_at
        if self._written:
            if waited_s >= _LONGEST_LEAVE_S:
                self._drop(self._kernel, "timeout")
        elif not self._has_shut:
            self._has_shut = True
            self._ended_at = time.monotonic()
            with suppress(OSError):  # which the next read reports
                self._kernel.shutdown(socket.SHUT_WR)
        elif waited_s >= self._resend_s:
            self._is_in_order = True
            self._drop(self._kernel, "closed")

    def ended(self) -> None:
        """Wait for what the peer's kernel still says: it may acknowledge more, or reset the connection."""
        if self._has_shut:
            self._is_in_order = True
            super().ended()
            return
        self.stop()
        self._ended_at = time.monotonic()
        self._watch_now()

    def _watch_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._poll_s = _FIRST_POLL_S
        self._poll()

    def _poll(self) -> None:
        """Settle what is acknowledged; the kernel has no event for it."""
        self._timer = None
        if self._kernel is None:
            return
        self._settle(self.acknowledged)
        if self._at_end:
            self._end_when_over()
        elif self._is_leaving:
            self._leave_when_over()
        if self._kernel is not None and (self._written or not self.is_open):
            self._set_timer(self._poll_s)
        elif self._recent.lasts():
            self._set_timer(self._resend_s, is_resting=True)
        else:
            self._recent.forget()

    def _end_when_over(self) -> None:
        """End a connection that the peer has closed, once it is known how."""
        assert self._kernel is not None
        waited_s = time.monotonic() - self._ended_at
        if self.is_dead:
            self._drop(self._kernel, "reset")
        elif not self.unacknowledged and not self._recent.lasts():
            self._is_in_order = True
            self._drop(self._kernel, "closed")
        elif waited_s >= _MOST_WAITS * self._resend_s:
            self._drop(self._kernel, "closed")

    def _settle(self, acknowledged: int) -> None:
        self._recent.see(acknowledged, is_waiting=bool(self._written))
        while self._written and self._written[0].end <= acknowledged:
            piece = self._written.popleft()
            times = piece.times if isinstance(piece, Copy) else 0
            self._recent.keep(piece.data, times)
            piece.settle()
            self._poll_s = _FIRST_POLL_S
            if not times:  # a peer may acknowledge the same bytes, and end, for ever
                self._lost_in_a_row = 0

    def lost(self, reason: str, acknowledged: int) -> None:
        """Give the chunks back, less the messages that the peer has; see `Connection`."""
        in_order, self._is_in_order = self._is_in_order, False
        if in_order:
            self._settle(acknowledged)
        else:
            acknowledged = 0  # the peer may have thrown away all that it had not read
        recent = self._recent.take(is_waiting=bool(self._written))
        written, self._written = self._written, deque()
        copies = [(piece.data, piece.times) for piece in written if isinstance(piece, Copy)]
        self._again = [*([] if in_order else recent), *copies, *self._again]
        if in_order and not written:
            if self._waiting:
                self.open()
            return
        waiting, self._waiting = self._waiting, deque()
        for chunk in (*written, *waiting):
            if isinstance(chunk, Chunk):
                chunk.give_back(Unavailable(reason, done=_whole(chunk, acknowledged)))
        if self._again and self._reopening is None:
            # Those events have their outcome, so that nothing else opens a connection for them.
            self._lost_in_a_row += 1
            self._reopening = self.loop.call_later(delay_s(self._lost_in_a_row, _LONGEST_DELAY_S), self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        self.open()

    def close(self) -> None:
        """Close the connection for good; see `Connection`."""
        super().close()
        self._again.clear()
        for timer in (self._timer, self._reopening):
            if timer is not None:
                timer.cancel()


def _whole(chunk: Chunk, acknowledged: int) -> int:
    """Return how many messages at the head of *chunk* are acknowledged."""
    position = chunk.end - chunk.size
    if not chunk.end:
        return 0
    for done, message in enumerate(chunk.messages):
        position += len(message)
        if position > acknowledged:
            return done
    return len(chunk.messages)
