"""Dead letters in memory: what the next commit writes of them, and what has come of the commits before."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
from evframe_wire.masking import masked_error

from evframe import DeliveryError
from evframe_journal.letters import OVERHEAD, Bounds, Changes, Filter, Page

if TYPE_CHECKING:
    from evframe import Event
    from evframe_journal.discard import Discarded

log = logging.getLogger("evframe.journal")
MOST_BYTES: Final = 64 << 20
"""How much may wait in memory to be written: the payloads, and `OVERHEAD` for each letter."""
DETAIL_CHARACTERS: Final = 500
"""The longest text of an error that is kept."""
_LOOK_S: Final = 60.0  # between looks for letters that are too old
Removed = Callable[[], Any]
"""Called when a removal is on disk."""


class Reading(Protocol):
    """Reads the table; each call returns at once, and *done* is called on the loop."""

    def look(
        self, wanted: Filter, after: int, most: int, *, whole: bool, done: Callable[[Any, BaseException | None], None]
    ) -> None:
        """Read a page; see `evframe_journal.letters.LetterTable.look`."""

    def last_id(self, done: Callable[[Any, BaseException | None], None]) -> None:
        """Read the highest id."""


async def look(reading: Reading, wanted: Filter, after: int, most: int, *, whole: bool) -> Page:
    """Return a page; raise the error of the file."""
    found: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
    reading.look(wanted, after, most, whole=whole, done=partial(_finish, found))
    return await found


async def last_id(reading: Reading) -> int:
    """Return the highest id; raise the error of the file."""
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    reading.last_id(partial(_finish, found))
    return await found


def _finish(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def error_text(socket: str, error: BaseException | None) -> str:
    """Return the text of what has failed events at *socket*, without secrets; empty when the reason says all."""
    if isinstance(error, DeliveryError):
        error = error.__cause__
    if error is None:
        return ""
    return masked_error(socket, f"{type(error).__name__}: {error}"[: 2 * DETAIL_CHARACTERS])


@attrs.frozen
class _Failed:
    """Events that failed together."""

    at: float
    socket: str
    events: Sequence[Event]
    reasons: Sequence[str]
    detail: str
    attempts: int
    offset: float
    """From the monotonic clock to the wall clock."""

    def rows(self) -> Iterator[tuple[Any, ...]]:
        socket = self.socket.encode("utf-8", "surrogateescape")
        names = [event.name.encode("utf-8", "surrogateescape") for event in self.events]
        raised = [event.raised_at + self.offset for event in self.events]
        payloads = [event.payload for event in self.events]
        each = zip(raised, names, repeat(socket), map(_plain, self.reasons), repeat(self.detail), strict=False)
        for row, payload in zip(each, payloads, strict=True):
            yield (self.at, *row, self.attempts, payload)


def _plain(text: str) -> str:
    """Return *text* without surrogates, which no database takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _size(events: Sequence[Event]) -> int:
    return sum(len(event.payload) for event in events) + OVERHEAD * len(events)


@attrs.define(kw_only=True, eq=False)
class DeadLetters:
    """Collects letters for the journal's next commit; see `evframe_journal.replay` for their replays."""

    bounds: Bounds
    """How much the table may hold."""
    clock: Callable[[], float] = time.monotonic
    """The monotonic clock, in seconds."""
    wall: Callable[[], float] = time.time
    """The wall clock, in seconds since the epoch."""
    most_bytes: int = MOST_BYTES
    """How much may wait in memory."""
    count: int = attrs.field(default=0, init=False)
    """How many letters the table has, since the first commit with letters."""
    bytes: int = attrs.field(default=0, init=False)
    """How much they count for."""
    added: int = attrs.field(default=0, init=False)
    """How many letters were written."""
    dropped: int = attrs.field(default=0, init=False)
    """How many letters the bounds of the table have dropped."""
    not_kept: int = attrs.field(default=0, init=False)
    """How many failed events are no letters, because nothing could be written."""
    _failed: deque[_Failed] = attrs.field(factory=deque, init=False)
    _bytes: int = attrs.field(default=0, init=False)
    _removed: dict[int, Removed | None] = attrs.field(factory=dict, init=False)
    _again: dict[int, tuple[float, str, str, int]] = attrs.field(factory=dict, init=False)
    _look_at: float = attrs.field(default=0.0, init=False)
    _under_way: tuple[list[_Failed], dict[int, Removed | None], dict[int, Any]] | None = attrs.field(
        default=None, init=False
    )
    _has_failed: bool = attrs.field(default=False, init=False)  # the last commit
    claimed: set[int] = attrs.field(factory=set, init=False)
    """The letters that a replay has, or that are dropped, each until its outcome is on disk."""

    def add(
        self, socket: str, events: Sequence[Event], reasons: Sequence[str], detail: str = "", attempts: int = 1
    ) -> None:
        """Keep *events*, which have failed for good at *socket*, its canonical text, each with its reason."""
        size = _size(events)
        if self._bytes + size > self.most_bytes:
            self.lose(len(events))
            return
        now = self.wall()
        detail = _plain(detail[:DETAIL_CHARACTERS])
        offset = now - self.clock()
        self._failed.append(_Failed(now, socket, tuple(events), tuple(reasons), detail, attempts, offset))
        self._bytes += size

    def lose(self, count: int) -> None:
        """Count *count* events that have failed for good, and are no letters."""
        if not self.not_kept:
            log.error("events that failed for good are not kept as dead letters", extra={"count": count})
        self.not_kept += count

    def remove(self, letter: int) -> None:
        """Delete a letter with the next commit."""
        self.remove_all((letter,))

    def remove_all(self, letters: Sequence[int], done: Removed | None = None) -> None:
        """Delete *letters* with the next commit, then call *done*; they are claimed until then."""
        self.claimed.update(letters)  # else another command takes them, whose callback would replace this one
        self._removed |= dict.fromkeys(letters)
        self._removed[letters[-1]] = done

    def fail_again(self, letter: int, reason: str, detail: str) -> None:
        """Record that the replay of a letter has failed."""
        self._again[letter] = (self.wall(), _plain(reason), _plain(detail[:DETAIL_CHARACTERS]), letter)

    @property
    def waiting(self) -> int:
        """How many failed events wait to be written."""
        under_way = self._under_way[0] if self._under_way is not None else ()
        return sum(len(each.events) for each in (*under_way, *self._failed))

    def give_up(self) -> None:
        """Count what could not be written until the end of the process."""
        if self.waiting:
            self.lose(self.waiting)
        self._failed.clear()

    # As the journal calls it

    def discarded(self, found: Discarded) -> None:
        """Count the letters that were made of events on disk, and those that were not."""
        if found.changes is None:
            return
        self.added += found.letters
        if found.count > found.letters:
            self.lose(found.count - found.letters)
        self._note(found.changes)

    def _note(self, changes: Changes) -> None:
        self.dropped += changes.dropped
        self.count, self.bytes = changes.count, changes.bytes
        if changes.has_aged:
            self._look_at = 0.0

    def take(self) -> Changes | None:
        """Return what the next commit changes; None when that is nothing."""
        now = self.clock()
        is_due = now >= self._look_at
        # All of them, because the commit also says that their events are settled. After a failed commit, frames and
        # removals are tried alone: a full disk may have room for these.
        failed = [] if self._has_failed else list(self._failed)
        if not (failed or self._removed or self._again or is_due):
            self._has_failed = False
            return None
        if is_due:
            self._look_at = now + _LOOK_S
        if failed:
            self._failed.clear()
        self._under_way = failed, self._removed, self._again
        removed, again = list(self._removed), list(self._again.values())
        self._removed, self._again = {}, {}
        rows = (row for each in failed for row in each.rows())
        return Changes(rows, removed, again, self.bounds, self.wall())

    def over(self, changes: Changes, error: BaseException | None) -> None:
        """Take the outcome of the commit with *changes*."""
        assert self._under_way is not None
        (failed, removed, again), self._under_way = self._under_way, None
        self._has_failed = error is not None
        if error is not None:
            self._failed.extendleft(reversed(failed))
            self._removed = {**removed, **self._removed}
            self._again = {**again, **self._again}
            return
        self._bytes -= sum(_size(each.events) for each in failed)
        self.added += sum(len(each.events) for each in failed)
        self._note(changes)
        self.claimed -= removed.keys() | again.keys()
        for done in removed.values():
            if done is not None:
                done()
