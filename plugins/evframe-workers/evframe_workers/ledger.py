"""The queue of a subscriber at the front: its events are with a worker, and here until they have their outcome."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count, islice
from typing import TYPE_CHECKING, Final

from evframe.plugin import NO_DONES, MemoryQueue, QueueFull

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, Policy
    from evframe_workers.roles import Carrier, Recipient

log = logging.getLogger("evframe.workers")
_SAME_S: Final = 0.001
"""How exactly the disk has the time of an event."""
_SURPLUS: Final = 2
"""With `drop_oldest` the worker drops what is too much; the front does so when a worker has twice the room."""


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
        "_crashes",
        "_dones",
        "_entries",
        "_held",
        "_is_closed",
        "_left",
        "_link",
        "_recipient",
        "_suspect",
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
        # After a crash, so many events go to the worker one after the other, and the others are held until then.
        self._left = 0
        self._held: deque[tuple[Event, Done | None]] = deque()
        self._suspect: Event | None = None  # the oldest event at the last crash
        self._crashes = 0  # with this one

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
        if self._left:
            self._held.append((event, None))
            self.count += 1
            return True
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
            self._give_up(list(islice(self._entries, 1)), "queue_full")
        return True

    def configure(self, room: int, policy: Policy) -> None:  # noqa: ARG002 the plugin sends the policy
        """Have at most *room* events without an outcome."""
        self.most = room

    def track(self, done: Done) -> None:
        """Have *done* called with the outcome of the last event."""
        if self._held:
            self._held[-1] = self._held[-1][0], done
            return
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
        self._release()
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
        found = self._pop(range(start, end))
        self._left = max(0, self._left - len(found[0]))
        return found

    def renumber(self) -> Sequence[Event]:
        """Give the events without an outcome new positions for another worker; return them, the oldest first."""
        dones = self._dones
        self._dones = {new: dones[old] for new, old in enumerate(self._entries) if old in dones}
        self._entries = dict(enumerate(self._entries.values()))
        self._tail = len(self._entries)
        left = 0 if self._recipient.ended else self._left
        self._release()
        if left:
            self._left = left
            self._held.extend((self._entries.pop(at), self._dones.pop(at, None)) for at in range(1, self._tail))
            self._tail = min(1, self._tail)
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
        self._release()
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
        if self._left or self._held:
            self._proceed()
        if not self.stored and self._recipient.ended:
            self._wake()

    # After a crash

    def blame(self, most: int) -> bool:
        """Note that a worker has crashed while it delivered these events.

        From then on they are sent one by one until each has its outcome, so that the oldest one is the cause of the
        next crash. Return whether it was given up, because it is the oldest one at the crash number *most*.
        """
        at, event = next(iter(self._entries.items()), (0, None))
        if event is None:
            return False
        self._crashes = self._crashes + 1 if _are_same(self._suspect, event) else 1
        self._suspect = event
        self._left = self.count
        if not most or self._crashes < most:
            return False
        self._suspect = None
        events, dones = self.settled(at, at + 1)
        log.error("workers have crashed with an event", extra={"event": event.name, "crashes": self._crashes})
        self._recipient.fail_events(events, dict(enumerate(dones)), "worker_crash")
        if not self.stored and self._recipient.ended:
            self._wake()
        return True

    def _proceed(self) -> None:
        """Send the next event when the one before has its outcome, and all when none of them is left."""
        while self._held and not (self._left and self._entries):
            event = self._put(*self._held.popleft())
            self._link.add(event, self.number)
            self._link.hurry()
        if not self._entries:
            self._left = 0

    def _put(self, event: Event, done: Done | None) -> Event:
        self._entries[self._tail] = event
        if done is not None:
            self._dones[self._tail] = done
        self._tail += 1
        return event

    def _release(self) -> None:
        """Have all events among those that may be sent."""
        held, self._held, self._left = self._held, deque(), 0
        for event, done in held:
            self._put(event, done)


def _are_same(one: Event | None, other: Event) -> bool:
    """Return whether two events are one, which may have been read from the disk again."""
    return one is other or (
        one is not None and one.payload == other.payload and abs(one.raised_at - other.raised_at) < _SAME_S
    )
