"""Streams that continue where a lost connection has ended."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import takewhile

from evframe_live import Connection, Leases, LiveSocket, Stream

from evframe import Batch
from evframe_sse.frames import control, first_id, frames_of

Frame = tuple[bytes, bytes]
"""An id and the bytes of the event."""


class EventSource(Stream):
    """One stream. What was sent last is kept, to be sent again after a lost connection.

    Args:
        socket: of the subscriber.
        leases: of the socket.
        keep_bytes: how many bytes are kept.
    """

    def __init__(self, socket: LiveSocket, leases: Leases, keep_bytes: int) -> None:
        super().__init__(socket, leases)
        self._keep_bytes = keep_bytes
        self.was_open = False
        """Whether it has had a connection."""
        self._sent: deque[Frame] = deque([(first_id(), b"")])
        self._bytes = 0
        self._under_way = 0  # how many of those sent are of a batch whose outcome is not known
        self._has_other_events = False
        self._seen: bytes | None = None  # the last event that the client has, where that is not among those sent

    def encode(self, batch: Batch) -> bytes:
        """Return the bytes of a batch, without the events that the client has already."""
        frames = list(frames_of(batch))
        if batch.ids is None:
            self._seen = None
        elif self._seen is not None:  # the first batches may have come before, in another process
            frames = self._without_seen(frames, self._seen)
        self._keep(frames)
        before = self._about_others()
        lost = self.lost()
        if lost:
            before += control("gap", {"lost": lost})
        return before + b"".join(frame for _, frame in frames)

    def _without_seen(self, frames: list[Frame], seen: bytes) -> list[Frame]:
        """Return *frames* without those that the client has: up to *seen*, which may be one of a later batch."""
        ids = [known for known, _ in frames]
        if seen in ids:
            count = ids.index(seen) + 1
        else:  # kept events come in the order of their numbers
            count = sum(1 for _ in takewhile(lambda known: _run_of(known) == _run_of(seen) and known < seen, ids))
        if seen in ids or count < len(ids):
            self._seen = None
        return frames[count:]

    def note_events(self) -> None:
        """Send the client which events it gets: in this turn for all of them, or before the next batch."""
        if not self._has_other_events:
            self._has_other_events = True
            asyncio.get_running_loop().call_soon(self._send_events)

    def _send_events(self) -> None:
        connection = self.connection
        if connection is not None and connection.is_open and not connection.is_waiting:
            about = self._about_others()
            if about:
                connection.write(about)

    def _about_others(self) -> bytes:
        if not self._has_other_events:
            return b""
        self._has_other_events = False
        return self.about()

    def _keep(self, frames: list[Frame]) -> None:
        self._sent.extend(frames)
        self._bytes += sum(len(frame) for _, frame in frames)
        self._under_way = len(frames)
        while self._bytes > self._keep_bytes and len(self._sent) > self._under_way:
            self._bytes -= len(self._sent.popleft()[1])

    def confirm(self) -> None:
        """Keep no more than the bound of what the connection has."""
        self._under_way = 0
        if not self._keep_bytes:
            self._sent.clear()
            self._bytes = 0

    def open(self, connection: Connection, seen: bytes | None) -> None:
        """Write to *connection* from now on: what the stream has, and the events after *seen*.

        Args:
            connection: of the client.
            seen: the id of the last event that the client has got; None for none.
        """
        sent = list(self._sent)
        places = [index for index, (known, _) in enumerate(sent) if known == seen]
        if places:
            begin = places[-1] + 1
        else:
            begin, self._seen = len(sent) - self._under_way, seen
        is_complete = bool(places) or (seen is None and not self.was_open)
        head = self.about(sent[begin - 1][0] if begin else first_id(), is_complete=is_complete)
        connection.write(head + b"".join(frame for _, frame in sent[begin:]))
        self.was_open, self._has_other_events = True, False
        self.attach(connection)

    def about(self, known: bytes | None = None, *, is_complete: bool = True) -> bytes:
        """Return what the client learns of its stream.

        Args:
            known: the id of the event before; None where it is not needed.
            is_complete: whether the stream lacks nothing since the last event that the client has got.
        """
        about = {"socket": self.socket.canonical, "events": self.leases.events, "complete": is_complete}
        return control("stream", about, known)


def _run_of(known: bytes) -> tuple[bytes, int]:
    """Return what is alike in the ids that one process gives the kept events of a subscriber."""
    run, _, number = known.rpartition(b"-")
    return run, len(number)
