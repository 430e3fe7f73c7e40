"""The queue of a subscriber at the front: its events are with a worker, and here until they have their outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count, islice
from typing import TYPE_CHECKING, Final, Protocol

from evframe.plugin import NO_DONES, MemoryQueue, QueueFull

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, Policy

_SURPLUS: Final = 2
"""With `drop_oldest` the worker drops what is too much; the front does so when a worker has twice the room."""


class Recipient(Protocol):
    """Counts the outcomes of events; a subscriber."""

    @property
    def ended(self) -> bool:
        """Whether it has no leases any more."""

    def mirror(self, delivered: int, away: str | None) -> None:
        """Count so many events as delivered, and take over why the peer cannot be reached."""

    @property
    def away(self) -> str | None:
        """Why the peer cannot be reached."""

    def fail_events(self, events: Sequence[Event], dones: Mapping[int, Done], reason: str) -> None:
        """Count events as failed that the front gives up."""


class Carrier(Protocol):
    """Takes events to a worker."""

    @property
    def is_attached(self) -> bool:
        """Whether a worker takes events."""

    def add(self, event: Event, number: int) -> None:
        """Send *event* to the target *number*."""

    def hurry(self) -> None:
        """Send what was added at once."""

    def dropped(self, count: int) -> None:
        """Note that so many events were given up, some of which may not be sent yet."""


class Ledger:
    """The events of one subscriber that have no outcome yet; a queue without events in memory.

    Each event has a position, the next one; the worker counts the same, because every event reaches it in order. After
    a worker has died, `renumber` gives the events that are left their positions at the next one.

    Args:
        number: of the subscriber, in messages.
        recipient: the subscriber.
        link: to the worker.
        most: how many events may be without an outcome.
        wake: called when the last one has its outcome.
    """

    __slots__ = (
        "_dones",
        "_entries",
        "_is_closed",
        "_link",
        "_recipient",
        "_tail",
        "_wake",
        "count",
        "most",
        "number",
        "overflow",
    )

    room = 0
    is_kept = False
    is_own = is_elsewhere = True

    def __init__(self, number: int, recipient: Recipient, link: Carrier, most: int, wake: Callable[[], None]) -> None:
        self.number = number
        """Of the subscriber, in messages."""
        self.most = most
        self.overflow = "drop_newest"
        """What happens to an event that finds no room."""
        self.count = 0
        """How many events have no outcome."""
        self._recipient = recipient
        self._link = link
        self._wake = wake
        self._entries: dict[int, Event] = {}  # by position, the oldest first
        self._dones: dict[int, Done] = {}
        self._tail = 0
        self._is_closed = False

    # As a subscriber uses it

    def __len__(self) -> int:
        return 0

    @property
    def stored(self) -> int:
        """How many events have no outcome."""
        return self.count

    @property
    def oldest(self) -> float | None:
        """When the first event without an outcome was raised."""
        first = next(iter(self._entries.values()), None)
        return None if first is None else first.raised_at

    def has_room_for(self, event: Event) -> bool:  # noqa: ARG002 for queues that count bytes
        """Return whether an event would wait without a loss, or its raise does not wait for room."""
        return self.count < self.most or self.overflow != "block"

    def overflow_of(self, event: Event) -> int:  # noqa: ARG002 as above
        """Return 0: `spill` makes room itself."""
        return 0

    def spill(self, event: Event) -> bool:
        """Have the worker deliver *event*; return False when too many are with it."""
        if self.count >= self.most and not self._make_room():
            return False
        tail = self._tail
        self._entries[tail] = event
        self._tail = tail + 1
        self.count += 1
        self._link.add(event, self.number)
        return True

    def append(self, event: Event) -> None:
        """Have the worker deliver *event*; QueueFull when too many are with it."""
        if not self.spill(event):
            raise QueueFull

    def _make_room(self) -> bool:
        if self._is_closed or self.overflow != "drop_oldest":
            return False
        if self.count >= _SURPLUS * self.most:
            self._give_up([next(iter(self._entries))], "queue_full")
        return True

    def configure(self, room: int, policy: Policy) -> None:  # noqa: ARG002 the plugin sends the policy
        """Have at most *room* events without an outcome."""
        self.most = room

    def track(self, done: Done) -> None:
        """Have *done* called with the outcome of the last event."""
        self._dones[self._tail - 1] = done
        self._link.hurry()

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:  # noqa: ARG002
        """Return nothing: no event is sent from here."""
        return (), NO_DONES

    def ids(self, number: int) -> Sequence[str] | None:  # noqa: ARG002 for queues that send
        """Return None."""
        return None

    def settle(self, number: int, kept: Sequence[int]) -> None:
        """Do nothing: no event was taken."""

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Do nothing: no event was taken."""

    def drop_stored(self, reason: str) -> None:
        """Give up the events without an outcome; what the worker says of them later does not count."""
        self._give_up(list(self._entries), reason)

    def close(self) -> None:
        """Take no more events."""
        self._is_closed = True
        self.most = 0

    def _give_up(self, positions: Sequence[int], reason: str) -> None:
        events, dones = self._pop(positions)
        self._link.dropped(len(events))
        self._recipient.fail_events(events, dict(enumerate(dones)), reason)

    # As the link uses it

    def _pop(self, positions: Sequence[int]) -> tuple[list[Event], list[Done]]:
        entries, waiting = self._entries, self._dones
        events = [entries.pop(position) for position in positions if position in entries]
        self.count -= len(events)
        dones = [waiting.pop(position) for position in positions if position in waiting] if waiting else []
        return events, dones

    def settled(self, start: int, end: int) -> tuple[list[Event], list[Done]]:
        """Remove the events from position *start* to *end*; return those without an outcome so far, and callbacks."""
        return self._pop(range(start, end))

    def renumber(self) -> Sequence[Event]:
        """Give the events without an outcome new positions for another worker; return them, the oldest first."""
        dones = self._dones
        self._dones = {new: dones[old] for new, old in enumerate(self._entries) if old in dones}
        self._entries = dict(enumerate(self._entries.values()))
        self._tail = len(self._entries)
        return list(self._entries.values())

    def close_gaps(self, unsent: int) -> Sequence[bool]:
        """Give the last *unsent* positions to those events of them that are not given up; return which these are."""
        base = self._tail - unsent
        kept = [position in self._entries for position in range(base, self._tail)]
        following = count(base)
        places = {old: old if old < base else next(following) for old in self._entries}
        self._move(places)
        self._tail = base + sum(kept)
        return kept

    def _move(self, places: Mapping[int, int]) -> None:
        self._entries = {places[old]: event for old, event in self._entries.items()}
        self._dones = {places[old]: done for old, done in self._dones.items()}

    def take_back(self) -> None:
        """Do nothing: the events are here."""

    def hand_back(self) -> MemoryQueue:
        """Return a queue in memory with the events that have no outcome."""
        queue = MemoryQueue(self.most)
        for position, event in self._entries.items():
            queue.append(event)
            if position in self._dones:
                queue.track(self._dones[position])
        return queue

    def first_of(self, name: str) -> Event | None:
        """Return the oldest of the first events that is called *name*."""
        return next((event for event in islice(self._entries.values(), 64) if event.name == name), None)

    def rest(self) -> None:
        """Note that outcomes came: a subscriber that has ended may be over."""
        if not self.stored and self._recipient.ended:
            self._wake()
