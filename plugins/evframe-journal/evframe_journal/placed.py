"""A queue that knows the position of each event, also of those that are under way."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import deque
from collections.abc import Container, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from evframe.plugin import NO_DONES, MemoryQueue, UntilStored
from evframe_journal.settled import Settled

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done


class PlacedQueue(MemoryQueue):
    """A queue whose events have positions, which do not change.

    From the lowest to the highest, events are settled, under way, in memory, on disk alone, and fresh: not
    written and not in the queue in memory. While events are on disk alone or fresh, the queue is *spilled*.

    Args:
        low: the position of the first event.
        tail: that behind the last event on disk.
    """

    __slots__ = ("_fresh", "_tail", "_taken", "_under_way", "_until_stored", "head", "settled")

    def __init__(self, low: int, tail: int) -> None:
        super().__init__(0)
        self.settled = Settled(low)
        self.head = low  # no event below waits
        self._tail = tail  # while the queue is spilled: the position of the next event
        self._fresh: deque[Event] = deque()  # the events before `_tail` that are not in memory and not on disk
        self._under_way: dict[int, tuple[Sequence[int], Sequence[Event]]] = {}
        self._taken = 0  # how many these are
        self._until_stored: deque[tuple[int, UntilStored]] = deque()  # by position

    @property
    def taken(self) -> int:
        """How many events are under way."""
        return self._taken

    @property
    def tail(self) -> int:
        """The position of the next event."""
        if self.stored:
            return self._tail
        return self.settled.open_from(self.head, len(self) + 1)[-1]

    @property
    def _fresh_start(self) -> int:
        return self._tail - len(self._fresh)

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Remove up to *most* events from the head; return them, and the callbacks by index."""
        # The collector may run where memory for an object is requested, and a finaliser may raise an event.
        events = list(self) if len(self) <= most else []
        if len(events) == len(self) <= most:
            self.clear()
        else:
            events = [self.popleft() for _ in range(min(most, len(self))) if self]
        count = len(events)
        if not count:
            return (), NO_DONES
        positions = self.settled.open_from(self.head, count)
        self.head = positions[-1] + 1
        self._under_way[number] = positions, events
        self._taken += count
        dones = self._dones
        callbacks = {i: dones.pop(place) for i, place in enumerate(positions) if place in dones} if dones else NO_DONES
        self.refill()
        return events, callbacks

    def refill(self) -> None:
        """Use the memory that events under way leave; called when that may be more or less than before."""

    def track(self, done: Done) -> None:
        """Have *done* called with the outcome of the last event; an `UntilStored` when the event is on disk."""
        place = self.tail - 1
        self._dones[place] = done
        if type(done) is UntilStored:
            while self._until_stored and self._until_stored[0][1].is_called:  # nothing may ever be written
                self._until_stored.popleft()
            self._until_stored.append((place, done))

    def _take_dones(self, start: int, end: int, left: Container[int] = ()) -> list[Done]:
        """Remove the callbacks of the events from the position *start* to *end* but for those *left*; return them."""
        places = [place for place in self._dones if start <= place < end and place not in left]
        return [self._dones.pop(place) for place in places]

    def settle(self, number: int, kept: Sequence[int]) -> None:
        """Record that the events of batch *number* have their outcome, all but those with the indexes *kept*."""
        taken = self._under_way.pop(number, None)
        if taken is None:
            return  # a probe
        positions, events = taken
        self._taken -= len(positions) - len(kept)
        if not kept:
            self.settled.add(positions)
            self.refill()
            return
        back = set(kept)
        self._under_way[number] = [positions[index] for index in kept], [events[index] for index in kept]
        self.settled.add([place for index, place in enumerate(positions) if index not in back])
        self.refill()

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Put events that came back before the others."""
        positions, _ = self._under_way.pop(number)
        self._taken -= len(positions)
        self.extendleft(reversed(events))
        self.head = positions[0]
        for index, done in dones.items():
            self._dones[positions[index]] = done

    def _open_from(self, start: int, end: int = sys.maxsize) -> tuple[Sequence[int], list[Event]]:
        """Return the positions from *start* to *end* that are not settled, and their events, of those in memory."""
        first = self._fresh_start
        if self._fresh and start >= first and end >= self._tail:  # as nearly every time while a peer is away
            return range(start, self._tail), list(islice(self._fresh, start - first, None))
        positions: list[int] = []
        events: list[Event] = []
        for number in sorted(self._under_way):
            places, taken = self._under_way[number]
            at = bisect_left(places, start)
            positions += places[at:]
            events += taken[at:]
        places = self.settled.open_from(self.head, len(self))
        at = bisect_left(places, start)
        if at < len(places):  # else the events would be counted one by one
            positions += places[at:]
            events += islice(self, at, None)
        if self._fresh:
            positions += range(max(first, start), self._tail)
            events += islice(self._fresh, max(0, start - first), None)
        count = bisect_left(positions, end)
        return positions[:count], events[:count]

    def _place_again(self, low: int, tail: int) -> None:
        """Give the events under way the positions before *low*, and those that wait the ones from *tail* on."""
        taken = sorted(self._under_way)
        first = low - sum(len(self._under_way[number][0]) for number in taken)
        waiting = [*self.settled.open_from(self.head, len(self)), *range(self._fresh_start, self._tail)]
        moved = dict(zip(waiting, range(tail, tail + len(waiting)), strict=True))
        self.settled = Settled(first)
        for number in taken:
            before, events = self._under_way[number]
            self._under_way[number] = range(first, first + len(before)), events
            moved.update(zip(before, range(first, low), strict=False))
            first += len(before)
        self._until_stored = deque((moved[place], done) for place, done in self._until_stored if place in moved)
        self._dones = {moved[place]: done for place, done in self._dones.items()}
