"""The journal: decides what is written and read when, with one commit under way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from evframe_journal.bounds import Bounds, Kept
from evframe_journal.dead import DeadLetters
from evframe_journal.frames import EventOf, Frame
from evframe_journal.letters import Changes
from evframe_journal.queue import KeptQueue

if TYPE_CHECKING:
    from evframe import Event


@attrs.frozen
class Commit:
    """What is written in one transaction."""

    frames: Sequence[Frame]
    lows: Mapping[str, int]
    """By subscriber, the lowest position that is not settled; frames below it are deleted."""
    letters: Changes | None = None
    """What changes in the table of dead letters."""


class File(Protocol):
    """Where frames are kept. Both calls return at once; *done* is called on the loop."""

    def write(self, commit: Commit, done: Callable[[BaseException | None], None]) -> None:
        """Write *commit* whole or not at all; *done* is called with the error, or None once it is on the disk."""

    def read(self, key: str, position: int, done: Callable[[Sequence[Frame], BaseException | None], None]) -> None:
        """Read the frame of *key* that has *position*, or the next one, and a few more."""


@attrs.define(kw_only=True, eq=False)
class Journal:
    """The queues of the kept subscribers."""

    file: File
    """Where frames are kept."""
    bounds: Bounds
    """How much is written at once, and when."""
    event_of: EventOf
    """Makes an event again."""
    report: Callable[[BaseException | None], None]
    """Called with the problem of each commit or read, and with None after a commit that worked."""
    letters: DeadLetters | None = None
    """The dead letters, which are written in the same commits."""
    clock: Callable[[], float] = time.monotonic
    """The monotonic clock, in seconds."""
    wall: Callable[[], float] = time.time
    """The wall clock, in seconds since the epoch."""
    written: int = attrs.field(default=0, init=False)
    """How many events were written."""
    _queues: dict[str, KeptQueue] = attrs.field(factory=dict, init=False)
    _kept: dict[str, Kept] = attrs.field(factory=dict, init=False)
    _lows: dict[str, int] = attrs.field(factory=dict, init=False)  # of subscribers that were released
    _is_writing: bool = attrs.field(default=False, init=False)

    def restore(self, kept: Mapping[str, Kept]) -> None:
        """Take what the file has, by subscriber."""
        self._kept = dict(kept)

    def open(self, key: str, room: int, wake: Callable[[], Any]) -> KeptQueue:
        """Return the queue of a subscriber, with what the file has for it.

        Args:
            key: the canonical text of its socket.
            room: how many events may wait in memory.
            wake: called when events have come from the disk.
        """
        kept = self._kept.pop(key, Kept(0, 0, 0))
        queue = self._queues[key] = KeptQueue(key, self, wake, room, kept)
        return queue  # the next tick begins to read

    def release(self, key: str) -> None:
        """Forget the queue of a subscriber that has ended; its positions are not used again."""
        queue = self._queues.pop(key, None)
        if queue is not None:
            self._kept[key] = Kept(queue.settled.low, queue.tail, 0)
            if queue.acknowledged < queue.written:
                self._lows[key] = queue.settled.low

    def tick(self, *, is_last: bool = False) -> bool:
        """Write what waits for too long, and what is settled; with *is_last* all that waits.

        Returns whether a commit is under way.
        """
        if self._is_writing:
            return True
        now = self.clock()
        offset = self.wall() - now
        cutoff = math.inf if is_last else now - self.bounds.store_after_s
        frames: list[Frame] = []
        lows = self._lows.copy()
        for queue in self._queues.values():
            found = self._frames_of(queue, cutoff, offset)
            frames += found
            if queue.settled.low > queue.acknowledged and queue.acknowledged < queue.written:
                lows[queue.key] = queue.settled.low
            queue.refill()
        letters = None if self.letters is None else self.letters.take()
        if frames or lows or letters is not None:
            self._write(Commit(frames, lows, letters))
        return self._is_writing

    def _frames_of(self, queue: KeptQueue, cutoff: float, offset: float) -> list[Frame]:
        positions, events = queue.due(cutoff)
        frames = []
        for start in range(0, len(events), self.bounds.frame_events):
            part = events[start : start + self.bounds.frame_events]
            places = positions[start : start + self.bounds.frame_events]
            times = [event.raised_at + offset for event in part]
            frames.append(Frame(queue.key, places, times, [event.payload for event in part]))
        if frames:
            queue.begin_write(frames[-1].last + 1)
        return frames

    def _write(self, commit: Commit) -> None:
        self._is_writing = True

        def done(error: BaseException | None) -> None:
            self._is_writing = False
            for key in {frame.key for frame in commit.frames} & self._queues.keys():
                self._queues[key].end_write(is_written=error is None)
            if error is None:
                self.written += sum(len(frame.positions) for frame in commit.frames)
            for key, low in commit.lows.items() if error is None else ():
                if key in self._queues:
                    self._queues[key].acknowledged = low
                if self._lows.get(key, math.inf) <= low:
                    del self._lows[key]
            if commit.letters is not None and self.letters is not None:
                self.letters.over(commit.letters, error)
            self.report(error)

        self.file.write(commit, done)

    def read(self, queue: KeptQueue, position: int) -> None:
        """Read the frame with *position* and some more, and give their events to *queue*."""

        def done(frames: Sequence[Frame], error: BaseException | None) -> None:
            if error is not None:
                self.report(error)
            queue.load([each for frame in frames or () for each in self._events_of(frame)])

        self.file.read(queue.key, position, done)

    def _events_of(self, frame: Frame) -> Iterator[tuple[int, Event]]:
        offset = self.clock() - self.wall()
        times = [at + offset for at in frame.times]
        return zip(frame.positions, map(self.event_of, frame.payloads, times), strict=True)
