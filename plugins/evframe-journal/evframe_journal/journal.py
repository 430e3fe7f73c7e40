"""The journal: decides what is written and read when, with one commit under way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from evframe_journal.bounds import Bounds, Commit, Kept, Mended, Reading
from evframe_journal.dead import DeadLetters
from evframe_journal.file import File, is_full, needs_mending
from evframe_journal.frames import EventOf, Frame
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory
from evframe_journal.orphans import Orphaned, Orphans
from evframe_journal.queue import KeptQueue

if TYPE_CHECKING:
    from evframe import Event


@attrs.define(kw_only=True, eq=False)
class Journal:
    """The queues of the kept subscribers."""

    file: File
    """Where frames are kept."""
    bounds: Bounds
    """How much is written at once, and when."""
    memory: Memory
    """How much all queues hold in memory."""
    event_of: EventOf
    """Makes an event again."""
    report: Callable[[BaseException | None], None]
    """Called with the problem of each commit or read, and with None after a commit that worked."""
    on_mended: Callable[[str | None, int], None] = lambda moved_to, lost: None  # noqa: ARG005
    """Called when another file is in use: with the path that the one before has now, and how many events are lost."""
    on_damaged: Callable[[str, int], None] = lambda key, lost: None  # noqa: ARG005
    """Called when a frame of a subscriber is put aside, with the number of its events."""
    orphaned: Orphaned = lambda key, frame, count: None  # noqa: ARG005
    """Called with events whose subscriber has not come back."""
    letters: DeadLetters | None = None
    """The dead letters, which are written in the same commits."""
    clock: Callable[[], float] = time.monotonic
    """The monotonic clock, in seconds."""
    wall: Callable[[], float] = time.time
    """The wall clock, in seconds since the epoch."""
    is_full: bool = attrs.field(default=False, init=False)
    """Whether the last commit found no room on the disk."""
    written: int = attrs.field(default=0, init=False)
    """How many events were written."""
    _queues: dict[str, KeptQueue] = attrs.field(factory=dict, init=False)
    _kept: dict[str, Kept] | None = attrs.field(default=None, init=False)  # None until the file was read
    _lows: dict[str, int] = attrs.field(factory=dict, init=False)  # of subscribers that were released
    _orphans: Orphans | None = attrs.field(default=None, init=False)
    _restored: float = attrs.field(default=0.0, init=False)
    _is_busy: bool = attrs.field(default=False, init=False)  # a commit is under way, or the file is being mended
    _reads: int = attrs.field(default=0, init=False)  # under way
    _is_broken: bool = attrs.field(default=False, init=False)  # it has to be mended
    _failures: int = attrs.field(default=0, init=False)  # in a row
    _due: float = attrs.field(default=-math.inf, init=False)  # when the file is tried again
    _looked: float = attrs.field(default=-math.inf, init=False)

    def restore(self, kept: Mapping[str, Kept]) -> None:
        """Take what the file has, by subscriber."""
        self._kept = dict(kept)
        self._orphans = Orphans(file=self.file, orphaned=self.orphaned, kept=self._kept, lows=self._lows)
        self._restored = self.clock()

    @property
    def is_open(self) -> bool:
        """Whether the file was read."""
        return self._kept is not None

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to use the file has failed."""
        return bool(self._failures) or self._kept is None

    def open(self, key: str, limits: Limits, calls: Calls) -> KeptQueue:
        """Return the queue of a subscriber, with what the file has for it.

        Args:
            key: the canonical text of its socket.
            limits: how much may wait.
            calls: the subscriber's.
        """
        kept = (self._kept or {}).pop(key, Kept(0, 0, 0))
        queue = self._queues[key] = KeptQueue(key, self, limits, kept, calls)
        return queue  # the next tick begins to read

    def release(self, key: str) -> None:
        """Forget the queue of a subscriber that has ended; its positions are not used again."""
        queue = self._queues.pop(key, None)
        if queue is None:
            return
        queue.leave()
        if self._kept is not None:
            self._kept[key] = Kept(queue.settled.low, queue.tail, 0)
            if queue.may_be_in_file:
                self._lows[key] = queue.settled.low

    def give_up(self) -> dict[str, int]:
        """Count the events that are not on disk as lost; return how many these are, by subscriber."""
        lost = {key: queue.give_up() for key, queue in self._queues.items()}
        return {key: count for key, count in lost.items() if count}

    def tick(self, *, is_last: bool = False) -> bool:
        """Write what waits for too long, and what is settled; with *is_last* all that waits.

        Returns whether a commit is under way.
        """
        if self._is_busy:
            return True
        if (now := self.clock()) < self._due and not is_last:
            return False
        if self._is_broken or self._kept is None:
            if not self._reads:  # what they bring is counted as in the file until then
                self._mend()
            return True
        if not (self._failures and self._write_lows()):
            self._write_due(math.inf if is_last else now - self.bounds.store_after_s)
        if not self._is_busy and now - self._looked >= self.bounds.look_s:
            self._look(now)
        return self._is_busy

    def _write_due(self, cutoff: float) -> None:
        """Write what was raised until *cutoff*, and what is settled; bring events into memory."""
        offset = self.wall() - self.clock()
        frames: list[Frame] = []
        for queue in self._queues.values():
            frames += self._frames_of(queue, cutoff, offset)
            queue.refill()
            if queue.wants_drop and not queue.is_reading:
                self._drop_oldest(queue)
        if self._orphans is not None and self.clock() - self._restored >= self.bounds.orphan_keep_s:
            self._orphans.drop()
        lows = self._settled()
        letters = None if self.letters is None else self.letters.take()
        if frames or lows or letters is not None:
            self._write(Commit(frames, lows, letters))
        if self.memory.is_scarce:
            self._share()

    def _share(self) -> None:
        most = self.memory.events // max(1, len(self._queues))
        for queue in self._queues.values():
            queue.share(most)

    def _settled(self) -> dict[str, int]:
        settled = {key: queue.settled.low for key, queue in self._queues.items() if queue.has_low_to_write}
        return {**self._lows, **settled}

    def _write_lows(self) -> bool:
        """After a failure, write what is settled alone, which makes room; return whether there was any."""
        lows = self._settled()
        if lows:
            self._write(Commit((), lows), is_partial=True)
        return bool(lows)

    def _drop_oldest(self, queue: KeptQueue) -> None:
        queue.wants_drop = False
        queue.is_reading = True
        self._reads += 1

        def done(found: tuple[int, int, int] | None, error: BaseException | None) -> None:
            self._reads -= 1
            if found is None:
                queue.is_reading = False
                self._failed(error or OSError())
            else:
                queue.drop(*found)

        self.file.drop_oldest(queue.key, queue.loaded, done)

    def _frames_of(self, queue: KeptQueue, cutoff: float, offset: float) -> list[Frame]:
        frames = [*self._framed(queue, *queue.late(), offset), *self._framed(queue, *queue.due(cutoff), offset)]
        if frames:
            queue.begin_write(frames[-1].last + 1)
        return frames

    def _framed(
        self, queue: KeptQueue, positions: Sequence[int], events: Sequence[Event], offset: float
    ) -> Iterator[Frame]:
        start = 0
        while start < len(events):
            end = queue.runs.alike(positions, start, self.bounds.frame_events)
            part = events[start:end]
            times = [event.raised_at + offset for event in part]
            run = queue.runs.of(positions[start])
            yield Frame(queue.key, positions[start:end], times, [event.payload for event in part], run)
            start = end

    def _write(self, commit: Commit, *, is_partial: bool = False) -> None:
        self._is_busy = True

        def done(_: None, error: BaseException | None) -> None:
            self._is_busy = False
            for key in {frame.key for frame in commit.frames}:
                if key in self._queues:  # unless a callback has ended the subscriber
                    self._queues[key].end_write(is_written=error is None)
            if commit.letters is not None and self.letters is not None:
                self.letters.over(commit.letters, error)
            if error is not None:
                self._failed(error)
                return
            self.written += sum(len(frame.positions) for frame in commit.frames)
            self._acknowledge(commit.lows)
            if not is_partial:
                self._works()

        self.file.write(commit, done)

    def _acknowledge(self, lows: Mapping[str, int]) -> None:
        for key, low in lows.items():
            if key in self._queues:
                self._queues[key].acknowledged = low
            if self._lows.get(key, math.inf) <= low:
                del self._lows[key]

    def _works(self) -> None:
        self._failures = 0
        self.is_full = False
        self._looked = self.clock()
        self.report(None)

    def _failed(self, error: BaseException) -> None:
        """Wait before the file is tried again, and mend it then if it needs that."""
        self._is_broken |= needs_mending(error)
        self.is_full = is_full(error)
        wait_s = min(self.bounds.retry_s * 2.0 ** min(self._failures, 30), self.bounds.retry_most_s)
        is_first = self._is_broken and not self._failures
        self._failures += 1
        self._due = self.clock() + (0.0 if is_first else wait_s)
        self.report(error)

    def _look(self, now: float) -> None:
        self._looked = now
        self.file.check(lambda _, error: None if error is None else self._failed(error))

    def _mend(self) -> None:
        """Open the file, or make it again; events wait in memory meanwhile."""
        self._is_busy = True
        offset = self.wall() - self.clock()
        known = {} if self._kept is None else self._queues.copy()
        frames = [frame for each in known.values() for frame in self._framed(each, *each.in_memory(), offset)]
        lows = {key: queue.settled.low for key, queue in known.items()}
        on_disk = {key: queue.on_disk for key, queue in known.items()}

        def done(mended: Mended | None, error: BaseException | None) -> None:
            self._is_busy = False
            if mended is None:
                self._failed(error or OSError())
                return
            self._is_broken = False
            if self._kept is None:
                self._adopt(mended.kept)
            lost = 0
            for key, queue in known.items():
                if self._queues.get(key) is queue:
                    lost += queue.lose(on_disk[key] - mended.left[key])
            if mended.is_new:
                self._acknowledge({key: low for key, low in lows.items() if self._queues.get(key) is known[key]})
                self.on_mended(mended.moved_to, lost)
            self._works()

        self.file.mend(Commit(frames, lows), {key: queue.disk_start for key, queue in known.items()}, done)

    def _adopt(self, kept: Mapping[str, Kept]) -> None:
        """Give the queues that were made before the file could be read what it has for them."""
        left = dict(kept)
        found = {key: left.pop(key, Kept(0, 0, 0)) for key in self._queues}
        self.restore(left)
        for key, queue in self._queues.items():
            queue.adopt(found[key])

    def read(self, queue: KeptQueue, position: int, most: int) -> None:
        """Read up to *most* events from *position* on, and give them to *queue*."""
        written = queue.written
        self._reads += 1

        def done(reading: Reading | None, error: BaseException | None) -> None:
            self._reads -= 1
            if reading is None:
                queue.is_reading = False
                self._failed(error or OSError())
                return
            for frame in reading.frames:
                queue.runs.add(frame.first, frame.run)
            events = [
                each for frame in reading.frames for each in frame.events(self.event_of, self.clock(), self.wall())
            ]
            queue.load(events, reading.end if reading.frames or reading.damaged else written, reading.damaged)
            if reading.damaged:
                self.on_damaged(queue.key, reading.damaged)

        self.file.read(queue.key, position, most, done)
