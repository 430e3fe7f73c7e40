"""Events that have failed for good while they are on disk alone: their frames are deleted, or become dead letters."""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import attrs
from evframe_files.database import transaction
from evframe_wire.keys import canonical_of
from evframe_wire.reading import read

from evframe_journal import rows
from evframe_journal.carried import unpacked
from evframe_journal.frames import DamagedFrameError, Frame, payload_bytes, positions_of
from evframe_journal.letters import Bounds, Changes, LetterTable
from evframe_journal.problems import is_full
from evframe_journal.settled import Settled

_FRAMES: Final = 64  # of a step
_EVENTS: Final = 4096  # after which a step takes no other frame
_BYTES: Final = 8 << 20  # and of the frames
_FIND: Final = (
    "SELECT rowid, first, last, count, length(body) FROM frames"
    " WHERE key = ? AND last >= ? AND last < ? AND first >= ? ORDER BY last LIMIT ?"
)
_BODY: Final = "SELECT body FROM frames WHERE rowid = ?"
_METHOD: Final = re.compile(rb'\{"jsonrpc":"2\.0","method":("(?:[^"\\]|\\.)*+")')


@attrs.frozen(kw_only=True)
class Discard:
    """Which events of a subscriber have failed for good."""

    key: str
    """The canonical text of its socket."""
    start: int
    """The lowest position; what a frame has below it stays."""
    end: int = sys.maxsize
    """The position behind the highest one; no frame has positions on both sides."""
    settled: Settled
    """The positions that have an outcome already."""
    reason: str
    letters: Bounds | None = None
    """The bounds of the table of dead letters, where the events become letters; None to have them deleted unread."""
    room: int = 0
    """How many bytes are wanted of the first frames without a position below *start*; 0 for all frames."""


@attrs.frozen(kw_only=True)
class Discarded:
    """What one step has removed."""

    first: int
    """The lowest position."""
    end: int
    """The position behind the highest one."""
    count: int
    """How many events have failed: those without an outcome before."""
    size: int = 0
    """How many bytes the payloads of the frames had, or a few more."""
    damaged: int = 0
    """How many of them could not be read; their frames are put aside."""
    letters: int = 0
    """How many of them are letters."""
    is_last: bool = False
    """Whether nothing is left."""
    changes: Changes | None = None
    """The table of letters after the step; None when no letters were wanted."""


def discard(database: sqlite3.Connection, table: LetterTable, what: Discard, rest: Callable[[], None]) -> Discarded:
    """Remove the next few frames of *what* in one transaction, which adds their letters.

    A file that is full has no room for letters: then the newer half of a frame's events are kept, or none.
    *rest* is called before the commit.
    """
    for share in (1.0, 0.5) if what.letters is not None else ():
        try:
            return _Step(database, table, what, share).run(rest)
        except sqlite3.Error as error:
            if not is_full(error):
                raise
    return _Step(database, table, what, 0.0).run(rest)


class _Step:
    """One transaction.

    Args:
        share: of the events of each frame that become letters, the newer ones.
    """

    def __init__(self, database: sqlite3.Connection, table: LetterTable, what: Discard, share: float) -> None:
        self._database = database
        self._table = table
        self._what = what
        self._share = share
        self._changes = None if what.letters is None else Changes((), (), (), what.letters, time.time())
        self._count = self._damaged = self._letters = 0

    def run(self, rest: Callable[[], None]) -> Discarded:
        what = self._what
        first = end = what.start
        is_last = True
        size = payloads = 0
        with transaction(self._database) if self._changes is None else self._table.transaction(self._database):
            for number, (row, begin, last, count, bytes_) in enumerate(self._found()):
                if self._count >= _EVENTS or size >= _BYTES or (what.room and payloads >= what.room):
                    is_last = False
                    break
                first = first if number else max(begin, what.start)
                end = last + 1
                size += bytes_
                payloads += payload_bytes(bytes_, count)
                self._remove(row, begin, last, count)
                is_last = number + 1 < _FRAMES
            if self._changes is not None:
                self._table.bound(self._database, self._changes)
            rest()
        counts = {"count": self._count, "size": payloads, "damaged": self._damaged, "letters": self._letters}
        return Discarded(first=first, end=end, is_last=is_last, changes=self._changes, **counts)

    def _found(self) -> Sequence[tuple[int, int, int, int, int]]:
        """Return a few frames: the row, the first and last positions, the number of events, and of bytes."""
        what = self._what
        least = what.start if what.room else -sys.maxsize
        return self._database.execute(_FIND, (what.key, what.start, what.end, least, _FRAMES)).fetchall()

    def _remove(self, row: int, first: int, last: int, count: int) -> None:
        what = self._what
        try:
            if first >= what.start and self._changes is None:
                self._count_open(row, first)
                return
            (body,) = self._database.execute(_BODY, (row,)).fetchone()
            frame: Frame | None = Frame.decoded(what.key, first, body)
            self._database.execute(rows.DELETE, (row,))
        except DamagedFrameError as error:
            lost = error.lost_from(what.start, first, last, count)
            if error.lost is not None:
                lost = sum(map(self._is_open, error.lost))
            self._count += lost
            self._damaged += lost
            frame = error.rest
            rows.put_aside(self._database, row, None)
        if frame is None:
            return
        if frame.first < what.start:
            rows.insert(self._database, frame.below(what.start))
        self._bury(frame)

    def _count_open(self, row: int, first: int) -> None:
        """Delete a frame unread, but for its positions."""
        with self._database.blobopen("frames", "body", row, readonly=True) as blob:
            positions = positions_of(first, blob.read)
        self._count += sum(map(self._is_open, positions))
        self._database.execute(rows.DELETE, (row,))

    def _is_open(self, position: int) -> bool:
        return position >= self._what.start and position not in self._what.settled

    def _bury(self, frame: Frame) -> None:
        """Count the events of a frame that have failed, and add their letters."""
        failed = [index for index, place in enumerate(frame.positions) if self._is_open(place)]
        self._count += len(failed)
        if self._changes is None:
            return
        kept = failed[len(failed) - int(len(failed) * self._share) :]
        self._letters += len(kept)
        self._table.add(self._database, [*self._letters_of(frame, kept)], self._changes)

    def _letters_of(self, frame: Frame, indexes: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        now, reason = time.time(), self._what.reason
        socket = canonical_of(frame.key).encode("utf-8", "surrogateescape")
        for index in indexes:
            payload, _ = unpacked(frame.payloads[index])
            yield now, frame.times[index], name_of(payload), socket, reason, "", 1, payload


def name_of(payload: bytes) -> bytes:
    """Return the name of the event that has this payload; empty when it says none."""
    found = _METHOD.match(payload)
    return b"" if found is None else _name(found[1])


@lru_cache(maxsize=64)
def _name(text: bytes) -> bytes:
    with suppress(ValueError):
        return str(read(text)).encode("utf-8", "surrogateescape")
    return b""
