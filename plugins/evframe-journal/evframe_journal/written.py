"""A queue that knows which of its events are on disk, and which have to be written."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evframe_journal.placed import PlacedQueue

if TYPE_CHECKING:
    from evframe import Event


class WrittenQueue(PlacedQueue):
    """A queue whose events are written to the file; see `PlacedQueue` for the order of their positions."""

    __slots__ = ("_late_end", "_writing", "acknowledged", "loaded", "written")

    def __init__(self, low: int, tail: int) -> None:
        super().__init__(low, tail)
        self.acknowledged = low  # what is settled according to the file
        self.loaded = low  # while the queue is spilled: the position behind the events in memory
        self.written = tail  # positions below are on disk or settled
        self._writing = tail  # and below this when the commit under way has ended
        self._late_end = low  # the events below were not written when the queue got those of the file

    @property
    def has_low_to_write(self) -> bool:
        """Whether the file has another lowest position than what is settled."""
        low = self.settled.low
        return (self.acknowledged < low and self.acknowledged < self.written) or low < self._late_end

    @property
    def may_be_in_file(self) -> bool:
        """Whether the file has events of the queue, or gets some with the commit under way."""
        return self.acknowledged < max(self.written, self._writing)

    @property
    def on_disk(self) -> int:
        """How many events the file alone has."""
        return self.stored - len(self._fresh)

    @property
    def waiting_on_disk(self) -> int:
        """How many events without an outcome the file has, with those that are under way or in memory, too."""
        groups = [places for places, _ in self._under_way.values()]
        groups.append(self.settled.open_from(self.head, len(self)))
        late, end = self._late_end, self.written
        written = sum(max(0, bisect_left(each, end) - bisect_left(each, late)) for each in groups)
        return written + self.on_disk

    @property
    def disk_start(self) -> int:
        """The position below which every event is settled, under way or in memory."""
        return self.loaded if self.stored else self.tail

    def in_memory(self) -> tuple[Sequence[int], Sequence[Event]]:
        """Return the positions of the events that are in memory or under way and on disk, and the events."""
        return self._open_from(self.settled.low, min(self.written, self.disk_start))

    def late(self) -> tuple[Sequence[int], Sequence[Event]]:
        """Return the positions and the events that are before those of the file, and not written yet."""
        if self._late_end <= self.settled.low:
            return (), ()
        return self._open_from(self.settled.low, self._late_end)

    def due(self, cutoff: float) -> tuple[Sequence[int], Sequence[Event]]:
        """Return the positions of the events that have to be written, and the events, in order.

        When events are fresh, these are all that are not written: no frame may leave out an event before them.

        Args:
            cutoff: of a queue without fresh events, those raised until then, on the monotonic clock.
        """
        if not self._fresh and self._is_young(cutoff):
            return (), ()
        positions, events = self._open_from(self.written)
        if not self._fresh:
            count = next((i for i, event in enumerate(events) if event.raised_at > cutoff), len(events))
            positions, events = positions[:count], events[:count]
        return positions, events

    def _is_young(self, cutoff: float) -> bool:
        """Return whether the oldest event that may have to be written is younger than *cutoff*, or there is none."""
        under_way = ((places, events) for places, events in self._under_way.values() if places[-1] >= self.written)
        oldest = [events[0].raised_at for _, events in under_way]
        if self:
            oldest.append(self[0].raised_at if self.head >= self.written else self[-1].raised_at)
        return all(at > cutoff for at in oldest)
