"""The queue of a subscriber whose events are kept: the oldest in memory, the others on disk."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import attrs

from evframe.plugin import NO_DONES, STORED, MemoryQueue, UntilStored
from evframe_journal.settled import Settled

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, Policy
    from evframe_journal.bounds import Bounds, Kept


class Owner(Protocol):
    """The journal, as far as a queue calls it."""

    bounds: Bounds

    def read(self, queue: KeptQueue, position: int) -> None:
        """Read the frame with *position*, and give its events to `KeptQueue.load`."""


def _ignore(*_: object) -> None:
    """Do nothing."""


@attrs.frozen
class Calls:
    """What a queue calls of its subscriber."""

    wake: Callable[[], object] = _ignore
    """Called when events have come from the disk."""
    lost: Callable[[int, str], object] = _ignore
    """Called with the number of waiting events that are lost, and the reason."""
    found: Callable[[int], object] = _ignore
    """Called with the number of events of an earlier process that wait now, too."""


class KeptQueue(MemoryQueue):
    """A queue whose events are in memory at its head, and on disk behind that.

    Each event has a position, which never changes. From the lowest to the highest, events are
    settled, under way, in memory, on disk alone, and fresh: not written and not in the queue in memory. While
    events are on disk alone or fresh, the queue is *spilled*: it has no room, and `spill` takes each new event.

    Args:
        key: the canonical text of the subscriber's socket.
        owner: the journal.
        room: how many events may wait in memory.
        kept: what the file has for the subscriber.
        calls: the subscriber's.
    """

    __slots__ = (
        "_calls",
        "_fresh",
        "_is_closed",
        "_late_end",
        "_most",
        "_owner",
        "_tail",
        "_under_way",
        "_until_stored",
        "_writing",
        "acknowledged",
        "head",
        "is_reading",
        "key",
        "loaded",
        "settled",
        "written",
    )

    is_kept = is_own = True

    def __init__(self, key: str, owner: Owner, room: int, kept: Kept, calls: Calls) -> None:
        super().__init__(0 if kept.count else room)
        low = kept.low
        self.key = key
        self._most = room
        self._owner = owner
        self._calls = calls
        self.settled = Settled(low)
        self.acknowledged = low  # what is settled according to the file
        self.head = low  # no event below waits
        self.loaded = low  # while the queue is spilled: the position behind the events in memory
        self._tail = kept.tail  # while the queue is spilled: the position of the next event
        self.stored = kept.count  # events that wait and are not in memory, or fresh
        self.written = kept.tail  # positions below are on disk or settled
        self._writing = kept.tail  # and below this when the commit under way has ended
        self._fresh: deque[Event] = deque()  # the events before `_tail` that are not in memory and not on disk
        self._under_way: dict[int, tuple[Sequence[int], Sequence[Event]]] = {}
        self._until_stored: deque[tuple[int, UntilStored]] = deque()  # by position
        self._late_end = low  # the events below were not written when the queue got those of the file
        self.is_reading = False
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
            self.loaded = self._tail = self.tail
            self.room = 0
        self._fresh.append(event)
        self._tail += 1
        self.stored += 1
        return True

    def has_room_for(self, event: Event) -> bool:  # noqa: ARG002 as for every queue in memory
        """Return True: what finds no room in memory waits on disk."""
        return True

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
        """Have *done* called with the outcome of the last event; an `UntilStored` when the event is on disk."""
        place = self.tail - 1
        self._dones[place] = done
        if type(done) is UntilStored:
            self._until_stored.append((place, done))

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

    def configure(self, room: int, policy: Policy) -> None:  # noqa: ARG002 as `keep` holds until the subscriber ends
        """Have *room* for events in memory; a queue that has more keeps them."""
        self._most = room
        self._open_room()

    def drop_stored(self) -> int:
        """Remove the events that are not in memory: the subscriber has ended."""
        count, self.stored = self.stored, 0
        self._fresh.clear()
        end = self._tail
        self.settled.add([place for place in range(self.loaded, end) if place not in self.settled])
        self.loaded = end
        return count

    def close(self) -> None:
        """Take no more events, and bring none into memory."""
        self._is_closed = True
        self._open_room()

    # As the journal uses it

    @property
    def has_low_to_write(self) -> bool:
        """Whether the file has another lowest position than what is settled."""
        low = self.settled.low
        return (self.acknowledged < low and self.acknowledged < self.written) or low < self._late_end

    @property
    def on_disk(self) -> int:
        """How many events the file alone has."""
        return self.stored - len(self._fresh)

    def in_memory(self) -> tuple[Sequence[int], Sequence[Event]]:
        """Return the positions of the events that are in memory or under way and on disk, and the events."""
        positions, events = self._open_from(self.settled.low)
        count = bisect_left(positions, min(self.written, self.loaded) if self.stored else self.written)
        return positions[:count], events[:count]

    def late(self) -> tuple[Sequence[int], Sequence[Event]]:
        """Return the positions and the events that are before those of the file, and not written yet."""
        if self._late_end <= self.settled.low:
            return (), ()
        positions, events = self._open_from(self.settled.low)
        count = bisect_left(positions, self._late_end)
        return positions[:count], events[:count]

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
        self._late_end = self.settled.low
        while self._fresh and self._tail - len(self._fresh) < self.written:
            self._fresh.popleft()
        waiting = self._until_stored
        while waiting and (waiting[0][0] < self.written or waiting[0][1].is_called):
            waiting.popleft()[1](STORED)
        self.refill()

    def refill(self) -> None:
        """Bring events that are not in memory there, when few are."""
        if not self.stored or self._is_closed or len(self) > self._most // 4:
            return
        fresh = self._tail - len(self._fresh)
        if self.loaded < fresh:
            if not self.is_reading:
                self.is_reading = True
                self._owner.read(self, self.loaded)
            return
        count = min(len(self._fresh), self._most - len(self))
        for _ in range(count):
            self.append(self._fresh.popleft())
        self._bring(count, self.loaded + count)

    def load(self, found: Sequence[tuple[int, Event]], end: int, damaged: int) -> None:
        """Take events from the file, with their positions.

        Args:
            found: the events; those that a frame lacks were settled when it was written.
            end: the file has no other event below this position.
            damaged: how many events could not be read.
        """
        self.is_reading = False
        found = [(place, event) for place, event in found if place >= self.loaded and place not in self.settled]
        if len(found) < end - self.loaded:
            there = {place for place, _ in found}
            lacking = (place for place in range(self.loaded, end) if place not in there)
            self.settled.add([place for place in lacking if place not in self.settled])
        self.lose(damaged)
        self.extend(event for _, event in found)
        self._bring(len(found), max(end, self.loaded))
        if self.loaded >= self._tail - len(self._fresh):
            self.lose(self.on_disk)  # which the file does not have any more

    def lose(self, count: int) -> int:
        """Count up to *count* events that the file alone had as lost; return how many these are."""
        count = max(0, min(count, self.on_disk))
        if count:
            self.stored -= count
            self._calls.lost(count, "damaged")
            self._open_room()
            self._calls.wake()
        return count

    def adopt(self, kept: Kept) -> None:
        """Put what the file has before the events that wait, and behind those that are under way.

        The queue was made before the file could be read, and nothing of it is written.
        """
        if not kept.count:
            kept = attrs.evolve(kept, low=kept.tail)
        taken = sorted(self._under_way)
        places = range(kept.low - sum(len(self._under_way[number][0]) for number in taken), kept.low)
        moved: dict[int, int] = {}
        for number in taken:
            before, events = self._under_way[number]
            moved.update(zip(before, places, strict=False))
            self._under_way[number] = places[: len(before)], events
            places = places[len(before) :]
        waiting = [*self.settled.open_from(self.head, len(self)), *range(self._tail - len(self._fresh), self._tail)]
        moved.update(zip(waiting, range(kept.tail, kept.tail + len(waiting)), strict=False))
        self._dones = {moved[place]: done for place, done in self._dones.items()}
        self._fresh.extendleft(reversed(self))
        self.clear()
        self.settled = Settled(kept.low - len(moved) + len(waiting))
        self.acknowledged = self.head = self.loaded = kept.low
        self._late_end = kept.low
        self.written = self._writing = kept.tail
        self._tail = kept.tail + len(self._fresh)
        self.stored = kept.count + len(self._fresh)
        self._calls.found(kept.count)
        self._open_room()
        self.refill()

    def _bring(self, count: int, loaded: int) -> None:
        self.stored -= count
        self.loaded = loaded
        self._open_room()
        if count:
            self._calls.wake()

    def _open_room(self) -> None:
        self.room = 0 if self.stored or self._is_closed else self._most
