"""The queue of a subscriber whose events are kept: the oldest in memory, the others on disk."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from evframe.plugin import NO_DONES, MemoryQueue
from evframe_journal.settled import Settled

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done
    from evframe_journal.bounds import Bounds, Kept


class Owner(Protocol):
    """The journal, as far as a queue calls it."""

    bounds: Bounds

    def read(self, queue: KeptQueue, position: int) -> None:
        """Read the frame with *position*, and give its events to `KeptQueue.load`."""


class KeptQueue(MemoryQueue):
    """A queue whose events are in memory at its head, and on disk behind that.

    Each event has a position, which never changes. From the lowest to the highest, events are
    settled, under way, in memory, on disk alone, and fresh: not written and not in the queue in memory. While
    events are on disk alone or fresh, the queue is *spilled*: it has no room, and `spill` takes each new event.

    Args:
        key: the canonical text of the subscriber's socket.
        owner: the journal.
        wake: called when events have come from the disk.
        room: how many events may wait in memory.
        kept: what the file has for the subscriber.
    """

    __slots__ = (
        "_fresh",
        "_is_closed",
        "_is_reading",
        "_loaded",
        "_most",
        "_owner",
        "_tail",
        "_under_way",
        "_wake",
        "_writing",
        "acknowledged",
        "head",
        "key",
        "settled",
        "written",
    )

    is_kept = True

    def __init__(self, key: str, owner: Owner, wake: Callable[[], Any], room: int, kept: Kept) -> None:
        super().__init__(0 if kept.count else room)
        low = kept.low
        self.key = key
        self._most = room
        self._owner = owner
        self._wake = wake
        self.settled = Settled(low)
        self.acknowledged = low  # what is settled according to the file
        self.head = low  # no event below waits
        self._loaded = low  # while the queue is spilled: the position behind the events in memory
        self._tail = kept.tail  # while the queue is spilled: the position of the next event
        self.stored = kept.count  # events that wait and are not in memory, or fresh
        self.written = kept.tail  # positions below are on disk or settled
        self._writing = kept.tail  # and below this when the commit under way has ended
        self._fresh: deque[Event] = deque()  # the events before `_tail` that are not in memory and not on disk
        self._under_way: dict[int, tuple[Sequence[int], Sequence[Event]]] = {}
        self._is_reading = False
        self._is_closed = False

    @property
    def tail(self) -> int:
        """The position of the next event."""
        if self.stored:
            return self._tail
        return self.settled.open_from(self.head, len(self) + 1)[-1]

    # As a subscriber uses it

    def spill(self, event: Event) -> bool:
        """Take an event that finds no room in memory; return whether it waits now.

        While the file cannot be written as fast, or at all, the fresh events have another bound.
        """
        if self._is_closed or len(self._fresh) >= self._owner.bounds.fresh_events:
            return False
        if not self.stored:
            self._loaded = self._tail = self.tail
            self.room = 0
        self._fresh.append(event)
        self._tail += 1
        self.stored += 1
        return True

    def has_room_for(self, event: Event) -> bool:  # noqa: ARG002 as for every queue in memory
        """Return whether *event* may wait in memory: while others are on disk, it waits behind them."""
        return len(self) < self.room

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
        dones = self._dones
        callbacks = {i: dones.pop(place) for i, place in enumerate(positions) if place in dones} if dones else NO_DONES
        if self.stored:
            self.refill()
        return events, callbacks

    def track(self, done: Done) -> None:
        """Have *done* called with the outcome of the last event."""
        self._dones[self.tail - 1] = done

    def settle(self, number: int, kept: Sequence[int]) -> None:
        """Record that the events of batch *number* have their outcome, all but those with the indexes *kept*."""
        taken = self._under_way.pop(number, None)
        if taken is None:
            return  # a probe
        positions, events = taken
        if not kept:
            self.settled.add(positions)
            return
        back = set(kept)
        self._under_way[number] = [positions[index] for index in kept], [events[index] for index in kept]
        self.settled.add([place for index, place in enumerate(positions) if index not in back])

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Put events that came back before the others."""
        positions, _ = self._under_way.pop(number)
        self.extendleft(reversed(events))
        self.head = positions[0]
        for index, done in dones.items():
            self._dones[positions[index]] = done

    def set_room(self, room: int) -> None:
        """Have *room* for events in memory; a queue that has more keeps them."""
        self._most = room
        self._open_room()

    def drop_stored(self) -> int:
        """Remove the events that are not in memory: the subscriber has ended."""
        count, self.stored = self.stored, 0
        self._fresh.clear()
        end = self._tail
        self.settled.add([place for place in range(self._loaded, end) if place not in self.settled])
        self._loaded = end
        return count

    def close(self) -> None:
        """Take no more events, and bring none into memory."""
        self._is_closed = True
        self._open_room()

    # As the journal uses it

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
            del positions[count:], events[count:]
        return positions, events

    def _is_young(self, cutoff: float) -> bool:
        """Return whether the oldest event that may have to be written is younger than *cutoff*, or there is none."""
        under_way = ((places, events) for places, events in self._under_way.values() if places[-1] >= self.written)
        oldest = [events[0].raised_at for _, events in under_way]
        if self:
            oldest.append(self[0].raised_at if self.head >= self.written else self[-1].raised_at)
        return all(at > cutoff for at in oldest)

    def _open_from(self, start: int) -> tuple[list[int], list[Event]]:
        """Return the positions from *start* that are not settled, and their events, of those in memory or fresh."""
        positions: list[int] = []
        events: list[Event] = []
        for number in sorted(self._under_way):
            places, taken = self._under_way[number]
            at = bisect_left(places, start)
            positions += places[at:]
            events += taken[at:]
        places = self.settled.open_from(self.head, len(self))
        at = bisect_left(places, start)
        positions += places[at:]
        events += islice(self, at, None)
        if self._fresh:
            first = self._tail - len(self._fresh)
            positions += range(max(first, start), self._tail)
            events += islice(self._fresh, max(0, start - first), None)
        return positions, events

    def begin_write(self, end: int) -> None:
        """Note that the events below the position *end* are being written."""
        self._writing = end

    def end_write(self, *, is_written: bool) -> None:
        """Note that the commit has ended."""
        if not is_written:
            self._writing = self.written
            return
        self.written = max(self.written, self._writing)
        while self._fresh and self._tail - len(self._fresh) < self.written:
            self._fresh.popleft()
        self.refill()

    def refill(self) -> None:
        """Bring events that are not in memory there, when few are."""
        if not self.stored or self._is_closed or len(self) > self._most // 4:
            return
        fresh = self._tail - len(self._fresh)
        if self._loaded < fresh:
            if not self._is_reading:
                self._is_reading = True
                self._owner.read(self, self._loaded)
            return
        count = min(len(self._fresh), self._most - len(self))
        for _ in range(count):
            self.append(self._fresh.popleft())
        self._bring(count, self._loaded + count)

    def load(self, found: Sequence[tuple[int, Event]]) -> None:
        """Take the events of a frame, with their positions; those that it lacks were settled when it was written."""
        self._is_reading = False
        found = [(place, event) for place, event in found if place >= self._loaded and place not in self.settled]
        if found:
            end = found[-1][0] + 1
            if len(found) < end - self._loaded:
                there = {place for place, _ in found}
                lacking = (place for place in range(self._loaded, end) if place not in there)
                self.settled.add([place for place in lacking if place not in self.settled])
            self.extend(event for _, event in found)
            self._bring(len(found), end)

    def _bring(self, count: int, loaded: int) -> None:
        self.stored -= count
        self._loaded = loaded
        self._open_room()
        if count:
            self._wake()

    def _open_room(self) -> None:
        self.room = 0 if self.stored or self._is_closed else self._most
