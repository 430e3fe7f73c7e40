"""Events of a partition that subscribers had no room for: they are read again, when there is room."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evframe_shards.lane import INDEX_BITS, deliveries

if TYPE_CHECKING:
    from evframe_shards.frames import Frame
    from evframe_shards.lane import Lane
    from evframe_shards.queue import ShardQueue

    from evframe_fleet.log import Log, Reread


class Backlog:
    """The subscribers of a partition that are behind and have room, and what is read again for them.

    Args:
        partition: its number.
        log: the two topics.
        decoded: returns a frame of its bytes; None when it is damaged.
        lost: called with the number of frames that were deleted before a subscriber has got them, and the reason.
        writers: the highest number of a frame of each writer that was read.
    """

    def __init__(
        self,
        partition: int,
        log: Log,
        decoded: Callable[[bytes | None], Frame | None],
        lost: Callable[[int, str], None],
        writers: dict[str, int],
    ) -> None:
        self.live = 0
        """The position of the next event that comes by itself: what is behind gets all below it here."""
        self._partition = partition
        self._log = log
        self._decoded = decoded
        self._lost = lost
        self._writers = writers
        self._hungry: set[ShardQueue] = set()
        self._is_reading = self._is_closed = False
        self._numbers: dict[str, tuple[int, int]] = {}  # of the last frame of each writer, with its offset
        self._repeated: set[int] = set()  # offsets of frames that were written twice

    def add(self, queue: ShardQueue) -> None:
        """Have a queue that is behind get events as soon as it has room, which it has now."""
        self._hungry.add(queue)

    def discard(self, queue: ShardQueue) -> None:
        """Forget a queue."""
        self._hungry.discard(queue)

    def close(self) -> None:
        """Read nothing any more."""
        self._is_closed = True
        self._hungry.clear()

    def skip(self, offset: int) -> None:
        """Leave out the frame at *offset*, which was written twice."""
        self._repeated.add(offset)

    def forget(self, offset: int) -> None:
        """Forget what is below *offset*, because it is settled."""
        if self._repeated:
            self._repeated = {each for each in self._repeated if each >= offset}

    def read(self) -> None:
        """Read some of what is missing, unless that is under way."""
        if self._is_reading or self._is_closed or not self._hungry:
            return
        start = self.live
        for queue in list(self._hungry):
            lane = queue.lane
            if lane is None or lane.behind is None or lane.behind >= self.live:
                self._hungry.discard(queue)
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

            self._log.read_again(self._partition, begin, end, done)

    def _take(self, start: int, found: Reread) -> None:
        lanes = self._lanes(start, found.first_offset)
        for offset, value in found.frames:
            frame = None if offset in self._repeated else self._decoded(value)
            if frame is not None and not self._is_repetition(offset, frame):
                self._pass(offset, frame, lanes)
        for queue in lanes.values():
            if queue.lane is not None and queue.lane.behind is not None:
                queue.lane.behind = max(queue.lane.behind, found.next_offset << INDEX_BITS)
        self.read()

    def _lanes(self, start: int, first_offset: int) -> dict[str, ShardQueue]:
        """Return the queues that want what was read from *start* on: others may be further behind."""
        found: dict[str, ShardQueue] = {}
        for queue in self._hungry:
            lane: Lane | None = queue.lane
            if lane is not None and lane.behind is not None and lane.behind >= start << INDEX_BITS:
                found[queue.key] = queue
                if lane.behind < first_offset << INDEX_BITS:
                    lane.behind = first_offset << INDEX_BITS
                    queue.subscriber.refuse_unknown(1, "retention")  # how many, and which, is not known
                    self._lost(first_offset - start, "retention")
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
                self._hungry.discard(queue)
                del queues[key]

    def _is_repetition(self, offset: int, frame: Frame) -> bool:
        """Return whether a frame follows one with the same number."""
        number, before = self._numbers.get(frame.writer, (0, 0))
        if frame.number == number and before < offset:
            self._repeated.add(offset)
            return True
        self._numbers[frame.writer] = frame.number, offset
        self._writers[frame.writer] = max(frame.number, self._writers.get(frame.writer, 0))
        return False
