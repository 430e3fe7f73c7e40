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

_HEAD: Final = struct.Struct("<II")  # the number of events, and the CRC of all but the payloads, or of all
_HAS_BLOCKS: Final = 1 << 31  # in the number of events: each block of payloads has a CRC, too
_BLOCK: Final = 64  # events with one CRC
_COLUMNS_BYTES: Final = 16  # of an event: its offset, its time and its size
EventOf = Callable[[bytes, float], "Event"]
"""Returns an event of its payload and the time of its raise on the monotonic clock."""


class DamagedFrameError(ValueError):
    """Raised when the bytes of a frame are not those that were written.

    Args:
        problem: what was expected.
        rest: the events that can be read.
        lost: the positions of the others; None when these are not known.
    """

    def __init__(self, problem: str, rest: Frame | None = None, lost: Sequence[int] | None = None) -> None:
        super().__init__(problem)
        self.rest = rest
        self.lost = lost

    def lost_from(self, position: int, first: int, last: int, count: int) -> int:
        """Return how many events from *position* on are lost of *count* ones from *first* to *last*."""
        if self.lost is None:
            return min(count, last - max(first, position) + 1)
        return sum(place >= position for place in self.lost)


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
    """The JSON-RPC notification of each, with its headers; see `evframe_journal.carried`."""
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

    def since(self, position: int) -> Frame | None:
        """Return the frame of the events from *position* on; None when there is none."""
        begin = bisect_left(self.positions, position)
        if begin == len(self.positions):
            return None
        return Frame(self.key, self.positions[begin:], self.times[begin:], self.payloads[begin:], self.run)

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
        text = b"".join(self.payloads)
        columns = offsets.tobytes() + array("d", self.times).tobytes() + sizes.tobytes() + _checks(text, sizes)
        checksum = crc32(self.run, crc32(columns))
        return first, b"".join((_HEAD.pack(len(sizes) | _HAS_BLOCKS, checksum), columns, text, self.run))

    @classmethod
    def decoded(cls, key: str, first: int, data: bytes, start: int = -sys.maxsize, most: int = sys.maxsize) -> Frame:
        """Return the frame that `encoded` has made *data* of, with at most *most* events from the position *start* on.

        Raises:
            DamagedFrameError: if *data* are other bytes, as far as these events need them.
        """
        return _Body(key, first, data).frame(start, most)


class _Body:
    """What the bytes of a frame say."""

    def __init__(self, key: str, first: int, data: bytes) -> None:
        if len(data) < _HEAD.size:
            raise DamagedFrameError(f"expected a frame of {_HEAD.size} bytes or more, got {len(data)}")
        count, checksum = _HEAD.unpack_from(data)
        has_blocks = bool(count & _HAS_BLOCKS)
        count &= ~_HAS_BLOCKS
        body = memoryview(data)[_HEAD.size :]
        offsets, times, sizes, checks = array("I"), array("d"), array("I"), array("I")
        blocks = -(-count // _BLOCK) if has_blocks else 0
        at = 0
        for column, length in ((offsets, count), (times, count), (sizes, count), (checks, blocks)):
            column.frombytes(_part(body, at, length * column.itemsize))
            at += length * column.itemsize
        end = at + sum(sizes)
        if checksum != (crc32(body[end:], crc32(body[:at])) if has_blocks else crc32(body)):
            raise DamagedFrameError("expected the checksum of the frame's bytes, got another one")
        self._key, self._first = key, first
        self._offsets, self._times, self._sizes = offsets, times, sizes
        self._text = body[at:end]
        self._checks = checks
        self._run = bytes(body[end:])

    def frame(self, start: int, most: int) -> Frame:
        begin = bisect_left(self._offsets, start - self._first)
        end = min(len(self._offsets), begin + most)
        if self._checks:
            self._check(begin, end)
        return self._of(begin, max(begin, end))

    def _check(self, begin: int, end: int) -> None:
        """Raise an error, with all that can be read, unless the payloads from *begin* to *end* are whole."""
        blocks = range(begin // _BLOCK, -(-end // _BLOCK))
        bounds = _bounds(self._sizes)
        if all(self._is_whole(block, bounds) for block in blocks):
            return
        whole = [block for block in range(len(self._checks)) if self._is_whole(block, bounds)]
        frames = [self._of(block * _BLOCK, (block + 1) * _BLOCK) for block in whole]
        positions = {place for frame in frames for place in frame.positions}
        lost = [self._first + offset for offset in self._offsets if self._first + offset not in positions]
        rest = _joined(frames) if frames else None
        raise DamagedFrameError("expected the checksum of the payloads, got another one", rest, lost)

    def _is_whole(self, block: int, bounds: Sequence[int]) -> bool:
        return crc32(self._text[bounds[block] : bounds[block + 1]]) == self._checks[block]

    def _of(self, begin: int, end: int) -> Frame:
        """Return the events with the indexes from *begin* to *end*."""
        bounds = accumulate(self._sizes[begin:end], initial=sum(self._sizes[:begin]))
        payloads = [bytes(self._text[low:high]) for low, high in pairwise(bounds)]
        positions = [self._first + offset for offset in self._offsets[begin:end]]
        return Frame(self._key, positions, self._times[begin:end], payloads, self._run)


def _joined(frames: Sequence[Frame]) -> Frame:
    return Frame(
        frames[0].key,
        [place for frame in frames for place in frame.positions],
        [at for frame in frames for at in frame.times],
        [payload for frame in frames for payload in frame.payloads],
        frames[0].run,
    )


def _part(body: memoryview, at: int, size: int) -> memoryview:
    part = body[at : at + size]
    if len(part) < size:
        raise DamagedFrameError(f"expected {size} bytes of a column, got {len(part)}")
    return part


def _bounds(sizes: array[int]) -> Sequence[int]:
    """Return where each block of payloads begins, and the end of the last one."""
    blocks = [sum(sizes[begin : begin + _BLOCK]) for begin in range(0, len(sizes), _BLOCK)]
    return list(accumulate(blocks, initial=0))


def _checks(text: bytes, sizes: array[int]) -> bytes:
    view = memoryview(text)
    return array("I", [crc32(view[low:high]) for low, high in pairwise(_bounds(sizes))]).tobytes()


def payload_bytes(size: int, count: int) -> int:
    """Return how many bytes the payloads have in a frame of *count* events and *size* bytes, or a few more."""
    return max(0, size - _HEAD.size - count * _COLUMNS_BYTES)


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
    count &= ~_HAS_BLOCKS
    offsets = array("I")
    offsets.frombytes(read(count * offsets.itemsize)[: count * offsets.itemsize])
    return [first + offset for offset in offsets]
