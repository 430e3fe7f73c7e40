"""The journal: decides what is written and read when, with one commit under way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Mapping

import attrs

from evframe_journal.attempts import Attempts
from evframe_journal.bounds import Bounds, Commit, Kept, Mended, Reading
from evframe_journal.dead import DeadLetters
from evframe_journal.discard import Discard, Discarded
from evframe_journal.file import File
from evframe_journal.frames import EventOf, Frame
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory
from evframe_journal.queue import KeptQueue
from evframe_journal.removals import Removals


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
    orphaned: Callable[[str, Discarded], None] = lambda key, found: None  # noqa: ARG005
    """Called with the key of a subscriber that has not come back, and which of its events were removed."""
    letters: DeadLetters
    """The dead letters, which are written in the same commits."""
    clock: Callable[[], float] = time.monotonic
    """The monotonic clock, in seconds."""
    wall: Callable[[], float] = time.time
    """The wall clock, in seconds since the epoch."""
    written: int = attrs.field(default=0, init=False)
    """How many events were written."""
    _queues: dict[str, KeptQueue] = attrs.field(factory=dict, init=False)
    kept: dict[str, Kept] | None = attrs.field(default=None, init=False)
    """What the file has for those without a queue of the journal; None until it was read."""
    _lows: dict[str, int] = attrs.field(factory=dict, init=False)  # of subscribers that were released
    _removals: Removals = attrs.field(init=False)
    _attempts: Attempts = attrs.field(init=False)
    _restored: float = attrs.field(default=0.0, init=False)
    _is_busy: bool = attrs.field(default=False, init=False)  # a commit is under way, or the file is being mended
    _reads: int = attrs.field(default=0, init=False)  # under way
    _looked: float = attrs.field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self._attempts = Attempts(clock=self.clock)
        self._removals = Removals(
            file=self.file,
            letters=self.letters,
            queues=self._queues,
            failed=self._failed,
            damaged=self.on_damaged,
            orphaned=self.orphaned,
        )

    def restore(self, kept: Mapping[str, Kept]) -> None:
        """Take what the file has, by subscriber."""
        self.kept = dict(kept)
        self._removals.restore(self.kept, self._lows)
        self._restored = self.clock()

    @property
    def is_open(self) -> bool:
        """Whether the file was read."""
        return self.kept is not None

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to use the file has failed."""
        return bool(self._attempts.failures) or self.kept is None

    @property
    def is_full(self) -> bool:
        """Whether the last attempt to use the file found no room on the disk."""
        return self._attempts.is_full

    @property
    def on_disk(self) -> int:
        """How many events without an outcome are on disk, and those that are becoming dead letters."""
        waiting = sum(queue.waiting_on_disk for queue in self._queues.values())
        return waiting + self._removals.ended.count + sum(each.count for each in (self.kept or {}).values())

    def open(self, key: str, limits: Limits, calls: Calls) -> KeptQueue:
        """Return the queue of a subscriber, with what the file has for it.

        Args:
            key: the canonical text of its socket.
            limits: how much may wait.
            calls: the subscriber's.
        """
        kept = (self.kept or {}).pop(key, Kept(0, 0, 0))
        queue = self._queues[key] = KeptQueue(key, self, limits, kept, calls)
        return queue  # the next tick begins to read

    def release(self, key: str) -> None:
        """Forget the queue of a subscriber that has ended; its positions are not used again."""
        queue = self._queues.pop(key, None)
        if queue is None:
            return
        queue.leave()
        if self.kept is not None:
            self.kept[key] = Kept(queue.settled.low, queue.tail, 0, has_letters=queue.letters_noted)
            if queue.may_be_in_file:
                self._lows[key] = queue.settled.low

    def give_up(self) -> dict[str, int]:
        """Count the events that are not on disk as lost; return how many these are, by subscriber."""
        return {key: count for key, queue in self._queues.items() if (count := queue.give_up())}

    def tick(self, *, is_last: bool = False) -> bool:
        """Write what waits for too long, and what is settled; with *is_last* all that waits.

        Returns whether a commit is under way, and with *is_last* also whether events are.
        """
        if self._is_busy:
            return True
        if (now := self.clock()) < self._attempts.due and not is_last:
            return False
        if self._attempts.is_broken or self.kept is None:
            if not (self._reads or self._removals.under_way):  # what they bring is counted as in the file until then
                self._mend()
            return True
        if not (self._attempts.failures and self._write_lows()):
            self._write_due(math.inf if is_last else now - self.bounds.store_after_s)
        if not self._is_busy and now - self._looked >= self.bounds.look_s:
            self._look(now)
        are_taken = is_last and any(queue.taken for queue in self._queues.values())  # another process delivers them
        return self._is_busy or bool(self._removals.ended.count) or are_taken

    def _write_due(self, cutoff: float) -> None:
        """Write what was raised until *cutoff*, and what is settled; bring events into memory."""
        offset = self.wall() - self.clock()
        frames: list[Frame] = []
        for queue in self._queues.values():
            frames += queue.begin_write(cutoff, offset, self.bounds.frame_events)
            queue.refill()
            size = queue.fresh_bytes if self.is_full and queue.limits.drops_oldest else 0
            if (queue.wants_drop or size) and not queue.is_reading:
                self._removals.drop_oldest(queue, max(1, size))
        self._removals.ended.proceed()
        if self.clock() - self._restored >= self.bounds.orphan_keep_s:
            self._removals.drop_orphans()
        lows, letters, noted = self._settled(), self.letters.take(), self._policies({frame.key for frame in frames})
        if frames or lows or letters is not None or noted:
            self._write(Commit(frames, lows, letters, noted))
        self.memory.share(self._queues.values())

    def _settled(self) -> dict[str, int]:
        settled = {key: queue.settled.low for key, queue in self._queues.items() if queue.has_low_to_write}
        return self._removals.ended.without_them({**self._lows, **settled})

    def _policies(self, written: Container[str]) -> dict[str, bool]:
        """Return what the file does not know yet about dead letters of subscribers that it has events of."""
        return {
            key: queue.limits.has_letters
            for key, queue in self._queues.items()
            if queue.letters_noted != queue.limits.has_letters and (queue.may_be_in_file or key in written)
        }

    def _write_lows(self) -> bool:
        """After a failure, write what is settled alone, which makes room; return whether there was any."""
        lows = self._settled()
        if lows:
            self._write(Commit((), lows), is_partial=True)
        return bool(lows)

    def bury(self, what: Discard, count: int) -> None:
        """Have the *count* events of *what*, which are counted, become dead letters."""
        self._removals.ended.add(what, count)

    def _write(self, commit: Commit, *, is_partial: bool = False) -> None:
        self._is_busy = True

        def done(_: None, error: BaseException | None) -> None:
            self._is_busy = False
            for key in {frame.key for frame in commit.frames}:
                if key in self._queues:  # unless a callback has ended the subscriber
                    self._queues[key].end_write(is_written=error is None)
            if commit.letters is not None:
                self.letters.over(commit.letters, error)
            if error is not None:
                self._failed(error)
                return
            self.written += sum(len(frame.positions) for frame in commit.frames)
            self._acknowledge(commit.lows)
            self._note(commit.has_letters)
            if not is_partial:
                self._works()

        self.file.write(commit, done)

    def _acknowledge(self, lows: Mapping[str, int]) -> None:
        self._removals.ended.note(lows)
        for key, low in lows.items():
            if key in self._queues:
                self._queues[key].acknowledged = low  # below what was assumed, for events put before those of the file
            if self._lows.get(key, math.inf) <= low:
                del self._lows[key]

    def _note(self, policies: Mapping[str, bool]) -> None:
        for key, has_letters in policies.items():
            if key in self._queues:
                self._queues[key].letters_noted = has_letters

    def _works(self) -> None:
        self._attempts.succeeded()
        self._looked = self.clock()
        self.report(None)

    def _failed(self, error: BaseException) -> None:
        """Wait before the file is tried again, and mend it then if it needs that."""
        self._attempts.failed(error, self.bounds)
        self.report(error)

    def _look(self, now: float) -> None:
        self._looked = now
        self.file.check(lambda _, error: None if error is None else self._failed(error))

    def _mend(self) -> None:
        """Open the file, or make it again; events wait in memory meanwhile."""
        self._is_busy = True
        offset = self.wall() - self.clock()
        known = {} if self.kept is None else self._queues.copy()
        most = self.bounds.frame_events
        frames = [frame for each in known.values() for frame in each.framed(*each.in_memory(), offset, most)]
        ends = self._removals.ended.ends
        lows = {key: queue.settled.low for key, queue in known.items() if key not in ends}
        policies = {key: queue.limits.has_letters for key, queue in known.items()}
        on_disk = {key: queue.on_disk for key, queue in known.items()}

        def done(mended: Mended | None, error: BaseException | None) -> None:
            self._is_busy = False
            if mended is None:
                self._failed(error or OSError())
                return
            self._attempts.is_broken = False
            lost = self._adopt(mended) if self.kept is None else 0
            for key, queue in known.items():
                if self._queues.get(key) is queue:
                    lost += queue.lose(on_disk[key] - mended.left[key])
            if mended.is_new:
                self._acknowledge({key: low for key, low in lows.items() if self._queues.get(key) is known[key]})
                self._note({key: each for key, each in policies.items() if self._queues.get(key) is known[key]})
                self.on_mended(mended.moved_to, lost)
            self._works()

        loaded = {key: queue.disk_start for key, queue in known.items()}
        self.file.mend(Commit(frames, lows, has_letters=policies), loaded, ends, done)

    def _adopt(self, mended: Mended) -> int:
        """Give the queues that were made before the file was read what it has for them; return how many it lacks."""
        left = dict(mended.kept)
        found = {key: left.pop(key, Kept(0, 0, 0)) for key in self._queues}
        self.restore(left)
        for key, queue in self._queues.items():
            lost = mended.damaged.get(key, 0)
            queue.adopt(attrs.evolve(found[key], count=found[key].count + lost))
            queue.lose(lost)
        return sum(mended.damaged.values())

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
            lost = reading.damaged - sum(place in queue.settled for place in reading.lost)
            queue.load(events, reading.end if reading.frames or reading.damaged else written, lost)
            if reading.damaged:
                self.on_damaged(queue.key, reading.damaged)

        self.file.read(queue.key, position, most, done)
