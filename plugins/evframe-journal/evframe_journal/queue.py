"""The queue of a subscriber whose events are kept: the oldest in memory, the others on disk."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import attrs

from evframe.plugin import NO_DONES, STORED
from evframe_journal.carried import packed
from evframe_journal.discard import Discard
from evframe_journal.frames import Frame
from evframe_journal.granted import GrantedQueue
from evframe_journal.limits import Calls, Limits, Owner
from evframe_journal.memory import READ_EVENTS, bytes_of
from evframe_journal.runs import Runs

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Policy
    from evframe_journal.bounds import Kept


class KeptQueue(GrantedQueue):
    """A queue whose events are in memory at its head, and on disk behind that; see `PlacedQueue`.

    `spill` takes each event for which there is no room in memory, and is asked for that room, too.

    Args:
        key: the canonical text of the subscriber's socket.
        owner: the journal.
        limits: how much may wait.
        kept: what the file has for the subscriber.
        calls: the subscriber's.
    """

    __slots__ = ("_calls", "key", "letters_noted", "runs", "wants_drop")

    is_kept = is_own = True

    def __init__(self, key: str, owner: Owner, limits: Limits, kept: Kept, calls: Calls) -> None:
        super().__init__(owner, limits, kept)
        self.runs = Runs(kept.tail if kept.count else kept.low)
        self.key = key
        self._calls = calls
        self.letters_noted = kept.has_letters  # whether its events become dead letters, as the file says
        self.wants_drop = False  # the oldest events on disk have to make room

    # As a subscriber uses it

    def spill(self, event: Event) -> bool:
        """Take an event that finds no room in memory; return whether it waits now."""
        size = bytes_of(event)
        memory = self._memory
        if not self.stored:
            if self._is_closed:
                return False
            memory.note(size)
            if self._grow(size):
                self.append(event)
                return True
            self.loaded = self._tail = self.tail
        is_bound = self._has_bounds or memory.fresh + size > memory.most_fresh
        if is_bound and (self._is_closed or not self._may_wait(event, size)):
            return False
        self.room = 0
        memory.fresh += size
        self._fresh.append(event)
        self._tail += 1
        self.stored += 1
        self.size += len(event.payload)
        return True

    def _may_wait(self, event: Event, size: int) -> bool:
        """Return whether an event of *size* bytes may wait outside of the memory; have older ones dropped for that."""
        limits = self.limits
        has_bytes = not limits.most_bytes or self.size + len(event.payload) <= limits.most_bytes or not self.stored
        has_memory = self._memory.has_room(size) or not self._fresh
        if limits.drops_oldest and self.on_disk and not (has_bytes and has_memory and not self._owner.is_full):
            self.wants_drop = True  # the journal does that
            return has_memory
        return has_bytes and has_memory

    def has_room_for(self, event: Event) -> bool:
        """Return whether *event* would wait, or its raise does not wait for room: another event is dropped then."""
        if not self.limits.blocks:
            return True
        has_memory = not self.stored and (len(self) < self.room or self._granted < self.limits.events)
        return has_memory or self._may_wait(event, bytes_of(event))

    def configure(self, room: int, policy: Policy) -> None:
        """Have *room* for events in memory, and follow *policy*; a queue that has more keeps them."""
        self.limits = Limits.of(room, policy, self.limits.overflow)
        self._bind()
        self._shrink(room)

    def ids(self, number: int) -> Sequence[str] | None:
        """Return the names of the events of batch *number*: the same ones in each process, and no others' names."""
        taken = self._under_way.get(number)
        return None if taken is None else self.runs.ids(taken[0])

    def drop_stored(self, reason: str) -> None:
        """Remove the events that are not in memory: the subscriber has ended."""
        count, fresh = self.on_disk, tuple(self._fresh)
        if count and self.limits.has_letters:
            start, end, settled = self.loaded, self._fresh_start, self.settled.copy()
            self._owner.bury(Discard(key=self.key, start=start, end=end, settled=settled, reason=reason), count)
        self.stored = self.size = 0
        self._memory.fresh -= sum(map(bytes_of, fresh))
        self._fresh.clear()
        self.settled.close(self.loaded, self._tail)
        dones = self._take_dones(self.loaded, self._tail)
        self.loaded = self._tail
        if count:
            self._calls.lost(count, reason)
        if fresh:
            self._calls.failed(fresh, NO_DONES, reason)
        self._calls.over(reason, dones)

    def close(self) -> None:
        """Take no more events, and bring none into memory."""
        self._is_closed = True
        self._bind()
        self._open_room()

    # As the journal uses it

    def begin_write(self, cutoff: float, offset: float, most: int) -> Sequence[Frame]:
        """Return what has to be written, in frames; see `due` and `framed`."""
        frames = [*self.framed(*self.late(), offset, most), *self.framed(*self.due(cutoff), offset, most)]
        if frames:
            self._writing = frames[-1].last + 1
        return frames

    def framed(self, positions: Sequence[int], events: Sequence[Event], offset: float, most: int) -> Iterator[Frame]:
        """Yield frames of at most *most* events each.

        Args:
            positions: of the events.
            events: in their order.
            offset: from the monotonic clock to the wall clock.
            most: events of a frame.
        """
        start = 0
        while start < len(events):
            end = self.runs.alike(positions, start, most)
            part = events[start:end]
            times = [event.raised_at + offset for event in part]
            run = self.runs.of(positions[start])
            yield Frame(self.key, positions[start:end], times, [packed(event) for event in part], run)
            start = end

    def end_write(self, *, is_written: bool) -> None:
        """Note that the commit has ended."""
        if not is_written:
            self._writing = self.written
            return
        self.written = max(self.written, self._writing)
        self._late_end = self.settled.low
        count = min(max(0, self.written - self._fresh_start), len(self._fresh))
        size = sum([bytes_of(self._fresh.popleft()) for _ in range(count)])
        self._memory.fresh -= size
        if count:
            self._memory.note(size // count, count)
        waiting = self._until_stored
        while waiting and (waiting[0][0] < self.written or waiting[0][1].is_called):
            waiting.popleft()[1](STORED)
        self.refill()
        if self.limits.blocks:
            self._calls.wake()

    def refill(self) -> None:
        """Use the memory that events under way leave: bring others there, when few are."""
        if not self.stored:  # as nearly always: this is called twice for each batch
            self.room = 0 if self._is_closed else max(0, self._granted - self._taken)
            return
        held = len(self) + self._taken
        if self._is_closed or self.is_reading or held > self._granted // 4:
            return
        memory = self._memory
        self._granted += memory.grant(self._granted, max(0, min(READ_EVENTS, self.limits.events - self._granted)))
        most = self._granted - held
        self.loaded = self.settled.next_open(self.loaded)
        if self.loaded < self._fresh_start:
            self.is_reading = True
            self._owner.read(self, self.loaded, most)
            return
        count = min(len(self._fresh), most)
        size = 0
        for _ in range(count):
            event = self._fresh.popleft()
            size += len(event.payload)
            memory.fresh -= bytes_of(event)
            self.append(event)
        self._bring(count, size, self.loaded + count)

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
            for before, after in pairwise((self.loaded - 1, *(place for place, _ in found), end)):
                self.settled.close(before + 1, after)
        self.lose(damaged)
        gone = self._take_dones(self.loaded, end, {place for place, _ in found}) if self._dones else ()
        self.extend(event for _, event in found)
        self._bring(len(found), sum(len(event.payload) for _, event in found), max(end, self.loaded))
        if self.loaded >= self._fresh_start:
            self.lose(self.on_disk)  # which the file does not have any more
        self._calls.over("damaged", gone)

    def drop(self, first: int, end: int, count: int, size: int, reason: str) -> None:
        """Count the *count* events from *first* to *end*, which are not in the file any more, as lost."""
        if count:
            self.settled.close(first, end)
            dones = self._take_dones(first, end)
            self.lose(count, reason, size)
            self._calls.over(reason, dones)

    def lose(self, count: int, reason: str = "damaged", size: int | None = None) -> int:
        """Count up to *count* events that the file alone had as lost; return how many these are."""
        count = max(0, min(count, self.on_disk))
        if count:
            self.size -= self.size * count // self.stored if size is None else min(size, self.size)
            self.stored -= count
            self._calls.lost(count, reason)
            self._leave_file()
            self._open_room()
            self._calls.wake()
        return count

    def _leave_file(self) -> None:
        """Have no position of events on disk used again, once none of them waits."""
        if not self.stored:  # some are open: how many events a rebuilt file lacks is known, but not which
            self.settled.close(self.loaded, self._tail)
            dones = self._take_dones(self.loaded, self._tail)
            self.loaded = self._tail
            self._calls.over("damaged", dones)

    def give_up(self) -> int:
        """Count the events that wait and are not on disk as lost: the process ends. Return how many these are."""
        fresh = tuple(self._fresh)
        self.stored -= len(fresh)
        self._fresh.clear()
        places = self.settled.open_from(self.head, len(self))
        late, written = (bisect_left(places, end) for end in (self._late_end, self.written))
        events = tuple(self)
        self.clear()
        self.extend(events[late:written])
        lost = (*events[:late], *events[max(late, written) :], *fresh)
        if lost:
            self._calls.failed(lost, NO_DONES, "shutdown")
        self._calls.over(STORED, self._take_dones(self._late_end, self.written))
        self._calls.over("shutdown", self._take_dones(0, sys.maxsize))
        return len(lost)

    def adopt(self, kept: Kept) -> None:
        """Put what the file has before the events that wait, and behind those that are under way.

        The queue was made before the file could be read, and nothing of it is written.
        """
        if not kept.count:
            kept = attrs.evolve(kept, low=kept.tail)
        self._place_again(kept.low, kept.tail)
        self.size += sum(len(event.payload) for event in self) + kept.size
        self._memory.fresh += sum(map(bytes_of, self))
        self._fresh.extendleft(reversed(self))
        self.clear()
        self.runs = Runs(kept.tail)  # another name, because the events have other positions now
        self.runs.add(self.settled.low, self.runs.of(kept.tail))
        self.acknowledged = self.head = self.loaded = kept.low
        self._late_end = kept.low
        self.written = self._writing = kept.tail
        self.letters_noted = kept.has_letters
        self._tail = kept.tail + len(self._fresh)
        self.stored = kept.count + len(self._fresh)
        self._calls.found(kept.count)
        self._note_kept(kept)
        self._open_room()
        self.refill()

    def _bring(self, count: int, size: int, loaded: int) -> None:
        self.stored = max(len(self._fresh), self.stored - count)  # where a damaged frame had settled events, too
        self.size = self.size - size if self.stored else 0
        self.loaded = loaded
        self._leave_file()
        self._open_room()
        if count:
            self._calls.wake()
