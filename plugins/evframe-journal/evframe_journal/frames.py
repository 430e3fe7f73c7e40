"""Frames: the unit in which events are written and read."""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final
from zlib import crc32

import attrs

if TYPE_CHECKING:
    from evframe import Event

_HEAD: Final = struct.Struct("<II")  # the number of events, and the CRC of what follows
EventOf = Callable[[bytes, float], "Event"]
"""Returns an event of its payload and the time of its raise on the monotonic clock."""


class DamagedFrameError(ValueError):
    """Raised when the bytes of a frame are not those that were written."""


@attrs.frozen
class Frame:
    """Consecutive events of one subscriber, some of which may be left out because they were settled before."""

    key: str
    """The canonical text of the subscriber's socket."""
    positions: Sequence[int]
    """Of each event, ascending."""
    times: Sequence[float]
    """When each was raised, in seconds of the wall clock since the epoch."""
    payloads: Sequence[bytes]
    """The JSON-RPC notification of each."""
    run: bytes = b""
    """The name of the run that all of them are of; empty in frames of the first version."""

    @property
    def first(self) -> int:
        """The position of the first event."""
        return self.positions[0]

    @property
    def last(self) -> int:
        """The position of the last event."""
        return self.positions[-1]

    def below(self, position: int) -> Frame:
        """Return the frame of the events below *position*, of which there is one at least."""
        end = bisect_left(self.positions, position)
        return Frame(self.key, self.positions[:end], self.times[:end], self.payloads[:end], self.run)

    def events(self, event_of: EventOf, now: float, wall: float) -> Iterator[tuple[int, Event]]:
        """Yield the position of each event and the event, with the time of its raise on the monotonic clock.

        Args:
            event_of: makes an event again.
            now: the time on the monotonic clock.
            wall: the same time on the wall clock.
        """
        times = [min(at + now - wall, now) for at in self.times]
        yield from zip(self.positions, map(event_of, self.payloads, times), strict=True)

    def encoded(self) -> tuple[int, bytes]:
        """Return the first position, and the other contents as bytes."""
        first = self.first
        is_whole = self.last - first + 1 == len(self.positions)
        offsets = array("I", range(len(self.positions)) if is_whole else [each - first for each in self.positions])
        sizes = array("I", map(len, self.payloads))
        body = b"".join(
            (offsets.tobytes(), array("d", self.times).tobytes(), sizes.tobytes(), *self.payloads, self.run)
        )
        return first, _HEAD.pack(len(self.payloads), crc32(body)) + body

    @classmethod
    def decoded(cls, key: str, first: int, data: bytes, start: int = -sys.maxsize, most: int = sys.maxsize) -> Frame:
        """Return the frame that `encoded` has made *data* of, with at most *most* events from the position *start* on.

        Raises:
            DamagedFrameError: if *data* are other bytes.
        """
        if len(data) < _HEAD.size:
            raise DamagedFrameError(f"expected a frame of {_HEAD.size} bytes or more, got {len(data)}")
        count, checksum = _HEAD.unpack_from(data)
        body = memoryview(data)[_HEAD.size :]
        if crc32(body) != checksum:
            raise DamagedFrameError("expected the checksum of the frame's bytes, got another one")
        offsets, times, sizes = array("I"), array("d"), array("I")
        at = 0
        for column in (offsets, times, sizes):
            column.frombytes(body[at : at + count * column.itemsize])
            at += count * column.itemsize
        begin = bisect_left(offsets, start - first)
        end = min(count, begin + most)
        bounds = accumulate(sizes[begin:end], initial=at + sum(sizes[:begin]))
        payloads = [bytes(body[low:high]) for low, high in pairwise(bounds)]
        run = bytes(body[at + sum(sizes) :])
        return cls(key, [first + offset for offset in offsets[begin:end]], times[begin:end], payloads, run)


def positions_of(first: int, read: Callable[[int], bytes]) -> Sequence[int]:
    """Return the positions of the events of a frame, of the first bytes of what `Frame.encoded` made, unchecked.

    Args:
        first: the position of the first event.
        read: returns the next bytes, as many as it is called with.

    Raises:
        DamagedFrameError: if there are fewer bytes.
    """
    head = read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise DamagedFrameError(f"expected a frame of {_HEAD.size} bytes or more, got {len(head)}")
    count, _ = _HEAD.unpack(head)
    offsets = array("I")
    offsets.frombytes(read(count * offsets.itemsize)[: count * offsets.itemsize])
    return [first + offset for offset in offsets]
