"""The queue of a kept subscriber at the front: the journal has its events, and a worker those that are under way."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import compress, count
from typing import TYPE_CHECKING, Final

from evframe.plugin import NO_DONES, MemoryQueue
from evframe_workers.ledger import Ledger

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, Policy
    from evframe_workers.roles import Carrier, Recipient

MOST_UNDER_WAY: Final = 8192
"""How many events of a subscriber may be with its worker; a death of the worker repeats them."""
_MOST_OF_BATCH: Final = 256
"""How many events are taken from the journal's queue at once: an outcome of one looks at as many."""


class KeptLedger(Ledger):
    """A queue round that of the journal, which sees batches under way where the events are with a worker.

    The events that a worker has settled are settled in the journal; those of a worker that has died come back to the
    journal's queue, and go to the next worker from there.

    Args:
        number: of the subscriber, in messages.
        recipient: the subscriber.
        link: to the worker.
        inner: the journal's queue.
        wake: called when events may be sent, or the last one has its outcome.
    """

    __slots__ = ("_batches", "_inner", "_is_failing", "_names", "_numbers")

    is_kept = True

    def __init__(
        self, number: int, recipient: Recipient, link: Carrier, inner: MemoryQueue, wake: Callable[[], None]
    ) -> None:
        super().__init__(number, recipient, link, 0, wake)
        self._inner = inner
        self._numbers = count(1)
        self._batches: dict[int, list[int]] = {}  # the positions without an outcome, by the number of the batch
        self._names: deque[str | None] = deque()  # of the events that are not sent to the worker yet
        self._is_failing = False  # the subscriber counts the events that wait as failed

    # As a subscriber uses it

    @property
    def _most(self) -> int:
        return 1 if self._left else MOST_UNDER_WAY

    @property
    def _is_held(self) -> bool:
        return (not self._link.is_attached or self.count >= self._most) and not self._is_failing

    def __len__(self) -> int:
        return 0 if self._is_held else len(self._inner)

    @property
    def stored(self) -> int:
        """The events that are with the worker, on disk, or wait for the worker."""
        return self.count + self._inner.stored + (len(self._inner) if self._is_held else 0)

    @property
    def room(self) -> int:  # type: ignore[override] # that of the base class is always 0
        """How many events may wait in memory, less those that wait for the worker."""
        room = self._inner.room
        return max(0, room - len(self._inner)) if self._is_held else room

    @property
    def oldest(self) -> float | None:
        """When the first event without an outcome was raised."""
        return super().oldest if self._entries else self._inner.oldest

    def has_room_for(self, event: Event) -> bool:
        """Return what the journal's queue does."""
        return self._inner.has_room_for(event)

    def overflow_of(self, event: Event) -> int:
        """Return what the journal's queue does."""
        return self._inner.overflow_of(event)

    def spill(self, event: Event) -> bool:
        """Have the journal keep an event for which it has no room in memory."""
        return self._inner.spill(event)

    def append(self, event: Event) -> None:
        """Have the journal keep an event."""
        self._inner.append(event)

    def track(self, done: Done) -> None:
        """Have *done* called with the outcome of the last event."""
        self._inner.track(done)

    def configure(self, room: int, policy: Policy) -> None:
        """Configure the journal's queue."""
        self._inner.configure(room, policy)

    def close(self) -> None:
        """Take no more events."""
        self._inner.close()

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Send events to the worker and return none; those of batch 0, which is none, are for the caller to fail."""
        self._is_failing = not number
        if not number:
            return self._inner.take(most, 0)
        if not self._is_held:
            known = len(self._dones)
            for event in self._take(min(most, self._most - self.count)):
                self._link.add(event, self.number)
            if self._left or len(self._dones) > known:
                self._link.hurry()
        return (), NO_DONES

    def settle(self, number: int, kept: Sequence[int]) -> None:
        """Settle what the caller of `take` has failed; what the worker has is settled by its outcomes."""
        if not number:
            self._inner.settle(0, kept)

    def drop_stored(self, reason: str) -> None:
        """Give up the events on disk, and those without an outcome."""
        self._inner.drop_stored(reason)
        batches, self._batches = self._batches, {}
        for number in batches:
            self._inner.settle(number, ())
        super().drop_stored(reason)

    # As the link uses it

    def _take(self, most: int) -> Sequence[Event]:
        """Take events from the journal's queue for the worker."""
        inner = self._inner
        found: list[Event] = []
        while most > 0 and len(inner):
            number = next(self._numbers)
            events, dones = inner.take(min(most, _MOST_OF_BATCH), number)
            if not events:
                break
            start = self._tail
            self._tail += len(events)
            self._batches[number] = list(range(start, self._tail))
            self._entries.update(zip(self._batches[number], events, strict=True))
            self._dones.update((start + index, done) for index, done in dones.items())
            self._names.extend(inner.ids(number) or [None] * len(events))
            self.count += len(events)
            most -= len(events)
            found += events
        return found

    def names(self, number: int) -> Sequence[str | None]:
        """Return what names the next *number* events that are sent."""
        return [self._names.popleft() for _ in range(number)]

    def settled(self, start: int, end: int) -> tuple[list[Event], list[Done]]:
        """Settle the events from position *start* to *end*, in the journal, too."""
        found = super().settled(start, end)
        for number, places in list(self._batches.items()):
            if places[0] >= end:
                break
            low, high = bisect_left(places, start), bisect_left(places, end)
            if low == high:
                continue
            left = places[:low] + places[high:]
            if left:
                self._batches[number] = left
            else:
                del self._batches[number]
            self._inner.settle(number, [*range(low), *range(high, len(places))])
        return found

    def rest(self) -> None:
        """Note that outcomes came: other events may be sent, or a subscriber that has ended is over."""
        if len(self):
            self._wake()
        super().rest()

    def renumber(self) -> Sequence[Event]:
        """Take the events of a worker that has died from the journal again; return those for the next one."""
        self.take_back()
        return self._take(self._most)

    def _proceed(self) -> None:
        """Do nothing: the scheduler gives turns."""

    def take_back(self) -> None:
        """Put the events that have no outcome back into the journal's queue; a worker that had them has ended."""
        for number, places in reversed(self._batches.items()):
            dones = {index: self._dones[place] for index, place in enumerate(places) if place in self._dones}
            self._inner.give_back(number, [self._entries[place] for place in places], dones)
        self._batches.clear()
        self._entries.clear()
        self._dones.clear()
        self._names.clear()
        self._tail = self.count = 0

    def close_gaps(self, unsent: int) -> Sequence[bool]:
        """Give the last *unsent* positions to those events of them that are not given up; return which these are."""
        kept = super().close_gaps(unsent)
        self._names = deque(compress(self._names, kept))
        return kept

    def _move(self, places: Mapping[int, int]) -> None:
        super()._move(places)
        self._batches = {number: [places[old] for old in each] for number, each in self._batches.items()}

    def hand_back(self) -> MemoryQueue:
        """Return the journal's queue with the events that have no outcome."""
        self.take_back()
        return self._inner
