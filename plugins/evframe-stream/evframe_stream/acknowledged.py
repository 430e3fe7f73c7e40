"""Plain mode: an event is delivered when the peer's kernel has acknowledged it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

from evframe import Unavailable
from evframe_stream.connection import Chunk, Connection

_KEPT_BYTES: Final = 8 << 20  # more than the kernel of a peer holds unread
_FIRST_POLL_S: Final = 0.0005
_LAST_POLL_S: Final = 0.02


class AcknowledgedConnection(Connection):
    """Settles each chunk when all of it is acknowledged.

    Args:
        name, port, connect_timeout_s: see `Connection`.
        resend_s: what was acknowledged so recently is sent again after a reset.
    """

    def __init__(self, name: str, port: int, connect_timeout_s: float, *, resend_s: float) -> None:
        super().__init__(name, port, connect_timeout_s)
        self._resend_s = resend_s
        self._chunks: deque[Chunk] = deque()
        self._recent: deque[tuple[float, bytes]] = deque()
        self._recent_bytes = 0
        self._again: list[bytes] = []
        self._poll_s = _FIRST_POLL_S
        self._timer: asyncio.TimerHandle | None = None

    def send(self, chunk: Chunk) -> asyncio.Future[None]:
        """Write *chunk*, or open the connection for it; see `Connection`."""
        self._chunks.append(chunk)
        if self.is_open:
            self._write(chunk)
        else:
            self.open()
        return chunk.future

    def opened(self) -> None:
        """Write again what a reset may have lost, then what waits."""
        again, self._again = self._again, []
        now = time.monotonic()
        for data in again:
            self.write(data)
            self._keep(now, data)
        for chunk in list(self._chunks):
            self._write(chunk)

    def _write(self, chunk: Chunk) -> None:
        if not chunk.messages:  # it only asks whether the peer is there
            self._chunks.remove(chunk)
            chunk.settle()
            return
        self.write_chunk(chunk)
        if self._timer is None:
            self._poll_s = _FIRST_POLL_S
            self._timer = self.loop.call_later(_FIRST_POLL_S, self._poll)

    def received(self, data: bytes) -> None:
        """Nobody asked for it."""

    def _poll(self) -> None:
        """Settle what is acknowledged; the kernel tells so only when it is asked."""
        self._timer = None
        if not self.is_open:
            return
        self._settle(self.acknowledged)
        if self._chunks:
            self._timer = self.loop.call_later(self._poll_s, self._poll)

    def _settle(self, acknowledged: int) -> None:
        now = time.monotonic()
        self._poll_s = min(_LAST_POLL_S, self._poll_s * 2)
        while self._chunks and 0 < self._chunks[0].end <= acknowledged:
            chunk = self._chunks.popleft()
            self._keep(now, b"".join(chunk.messages))
            chunk.settle()
            self._poll_s = _FIRST_POLL_S

    def _keep(self, now: float, data: bytes) -> None:
        self._recent.append((now, data))
        self._recent_bytes += len(data)
        oldest = now - self._resend_s
        while self._recent and (self._recent[0][0] <= oldest or self._recent_bytes > _KEPT_BYTES):
            self._recent_bytes -= len(self._recent.popleft()[1])

    def lost(self, reason: str, acknowledged: int) -> None:
        """Give the chunks back, less the messages that the peer has; see `Connection`."""
        if reason == "reset":
            # The peer threw away what it had not read, and nobody can know how much that was.
            oldest = time.monotonic() - self._resend_s
            self._again = [data for at, data in self._recent if at > oldest]
            acknowledged = 0
        else:
            self._settle(acknowledged)
        self._recent.clear()
        self._recent_bytes = 0
        chunks, self._chunks = self._chunks, deque()
        for chunk in chunks:
            chunk.give_back(Unavailable(reason, done=_whole(chunk, acknowledged)))


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
