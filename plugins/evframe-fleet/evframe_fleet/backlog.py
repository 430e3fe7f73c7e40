"""Events of a partition that cannot be taken into memory yet: they are read again later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evframe_shards.lane import INDEX_BITS, deliveries

if TYPE_CHECKING:
    from evframe_shards.frames import Frame
    from evframe_shards.lane import Gate, Lane
    from evframe_shards.queue import ShardQueue

    from evframe_fleet.log import Reread
    from evframe_fleet.parts import Parts


class Backlog:
    """The subscribers of a partition that are behind and have room, and what is read again for them.

    Args:
        partition: its number.
        parts: what is shared.
        decoded: returns a frame of its bytes; None when it is damaged.
        writers: the highest number of a frame of each writer that was read.
    """

    def __init__(
        self, partition: int, parts: Parts, decoded: Callable[[bytes | None], Frame | None], writers: dict[str, int]
    ) -> None:
        self.live = 0
        """The position of the next event that comes by itself: what is behind gets all below it here."""
        self._partition = partition
        self._parts = parts
        self._decoded = decoded
        self._writers = writers
        self.hungry: set[ShardQueue] = set()
        """Those that are behind, and get events as soon as they have room."""
        self.repeated: set[int] = set()
        """The offsets of frames that were written twice."""
        self._is_reading = self._is_closed = False
        self._numbers: dict[str, tuple[int, int]] = {}  # of the last frame of each writer, with its offset

    def close(self) -> None:
        """Read nothing any more."""
        self._is_closed = True
        self.hungry.clear()

    def forget(self, offset: int) -> None:
        """Forget what is below *offset*, because it is settled."""
        self.repeated = {each for each in self.repeated if each >= offset}

    def read(self) -> None:
        """Read some of what is missing, unless that is under way."""
        if self._is_reading or self._is_closed or not self.hungry:
            return
        start = self.live
        for queue in list(self.hungry):
            lane = queue.lane
            if lane is None or lane.behind is None or lane.behind >= self.live:
                self.hungry.discard(queue)
                if lane is not None:
                    lane.behind = None
            else:
                start = min(start, lane.behind)
        begin, end = start >> INDEX_BITS, self.live >> INDEX_BITS
        if begin < end:
            self._is_reading = True

            def done(found: Reread | None) -> None:
                self._is_reading = False
                if found is not None and not self._is_closed:
                    self._take(begin, found)

            self._parts.log.read_again(self._partition, begin, end, done)

    def _take(self, start: int, found: Reread) -> None:
        lanes = self._lanes(start, found.first_offset)
        for offset, value in found.frames:
            frame = None if offset in self.repeated else self._decoded(value)
            if frame is not None and not self._is_repetition(offset, frame):
                self._pass(offset, frame, lanes)
        for queue in lanes.values():
            if queue.lane is not None and queue.lane.behind is not None:
                queue.lane.behind = max(queue.lane.behind, found.next_offset << INDEX_BITS)
        self.read()

    def _lanes(self, start: int, first_offset: int) -> dict[str, ShardQueue]:
        """Return the queues that want what was read from *start* on: others may be further behind."""
        found: dict[str, ShardQueue] = {}
        for queue in self.hungry:
            lane: Lane | None = queue.lane
            if lane is not None and lane.behind is not None and lane.behind >= start << INDEX_BITS:
                found[queue.key] = queue
                if lane.behind < first_offset << INDEX_BITS:
                    lane.behind = first_offset << INDEX_BITS
                    queue.subscriber.refuse_unknown(1, "retention")  # how many, and which, is not known
                    self._parts.gateway.lost(self._partition, first_offset - start, "retention")
        return found

    def _pass(self, offset: int, frame: Frame, queues: dict[str, ShardQueue]) -> None:
        for key, entries in deliveries(offset, frame):
            queue = queues.get(key)
            lane = None if queue is None else queue.lane
            if queue is None or lane is None or lane.behind is None:
                continue
            wanted = [entry for entry in entries if entry[0] >= lane.behind]
            if not wanted:
                continue
            lane.behind = queue.accept(wanted)
            if lane.behind is None:
                lane.behind = wanted[-1][0] + 1
            else:
                self.hungry.discard(queue)
                del queues[key]

    def _is_repetition(self, offset: int, frame: Frame) -> bool:
        """Return whether a frame follows one with the same number."""
        number, before = self._numbers.get(frame.writer, (0, 0))
        if frame.number == number and before < offset:
            self.repeated.add(offset)
            return True
        self._numbers[frame.writer] = frame.number, offset
        self._writers[frame.writer] = max(frame.number, self._writers.get(frame.writer, 0))
        return False


class Absent:
    """Subscribers whose queues this gateway lacks, or that have events of another partition.

    One partition at a time has the queue of a subscriber. When the number of partitions has grown, what was written
    before is in another one than what comes, and the second one waits here until the first one is settled.

    Args:
        gate: of the partition, by which its queues are known.
        enter: has a queue continue at a position.
        parts: what is shared.
    """

    def __init__(self, gate: Gate, enter: Callable[[ShardQueue, int], None], parts: Parts) -> None:
        self._gate = gate
        self._enter = enter
        self._parts = parts
        self.places: dict[str, int] = {}
        """The positions from which on events are to be read again, by the names of the subscribers."""

    def add(self, key: str, place: int) -> bool:
        """Have a subscriber continue at *place* unless it waits for an earlier one; return False if it has ended."""
        if self._has_ended(key):
            return False
        self.places.setdefault(key, place)
        return True

    def _has_ended(self, key: str) -> bool:
        return key not in self._parts.queues and key not in self._parts.table.sockets

    def is_here(self, queue: ShardQueue) -> bool:
        """Return whether the partition has a queue, which it gets if no other one has it."""
        lane = queue.lane
        if lane is not None:
            return lane.gate is self._gate
        place = self.places.pop(queue.key, None)
        if place is not None:
            self._enter(queue, place)
        return True

    def look(self) -> None:
        """Have those continue that can, and forget those that have ended."""
        for key in list(self.places):
            queue = self._parts.queues.get(key)
            if queue is not None:
                self.is_here(queue)
            elif self._has_ended(key):
                del self.places[key]
