"""The queue of a subscriber whose policy bounds it in memory: another queue, whose bytes are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from evframe.plugin import NO_DONES, QueueFull

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, Policy, Queue

MANY: Final = 1024
"""How many events fail in one step, at most."""


class Owner(Protocol):
    """The subscriber, as far as its queue calls it."""

    def fail_events(self, events: Sequence[Event], dones: Mapping[int, Done], reason: str) -> None:
        """Count events as failed, and call their callbacks."""


class Shared(Protocol):
    """What the queues share: one bound for their memory, and one timer."""

    @property
    def overflow(self) -> str:
        """What happens to an event that finds no room, where no policy says so."""

    def grow(self, size: int) -> None:
        """Note that so many bytes more wait in memory."""

    def fail_later(self, queue: Any) -> None:
        """Call `fail_dropped` of the queue in the next turn of the loop."""


class BoundedQueue:
    """A queue that decides by a policy what happens to an event that finds no room.

    Callbacks of events that fail run code of others, which may raise events. An event that gives up its place for
    another one fails later, therefore: in the next turn of the loop, or the next batch. It counts as `stored` until
    then.

    Args:
        inner: where the events wait.
        subscriber: whose queue it is.
        shared: what it shares with other queues.
        wake: called when events have failed or can be sent, without a call by the subscriber.
    """

    __slots__ = (
        "_dropped",
        "_in_hand",
        "_inner",
        "_most_bytes",
        "_passed",
        "_shared",
        "_subscriber",
        "_wake",
        "_when_full",
        "bytes",
        "is_kept",
        "priority",
    )

    is_own = True

    def __init__(self, inner: Queue, subscriber: Owner, shared: Shared, wake: Callable[[], Any]) -> None:
        self._inner = inner
        self._subscriber = subscriber
        self._shared = shared
        self._wake = wake
        self.is_kept = inner.is_kept
        self.priority = 0
        self.bytes = 0
        """The payloads that wait in memory; 0 for a queue that outlives the process, which has another bound."""
        self._most_bytes = 0
        self._when_full: str | None = None
        self._passed = 0  # events at the head that were part of a batch before
        self._in_hand = 0  # events that were taken, while callbacks of others run
        self._dropped: list[tuple[Event, Done | None]] = []
        if not self.is_kept:
            events, dones = inner.take(len(inner), 0)
            inner.give_back(0, events, dones)
            self._grow(events)

    def __len__(self) -> int:
        return len(self._inner)

    @property
    def stored(self) -> int:
        """The events that wait elsewhere, and those that are about to fail."""
        return self._inner.stored + len(self._dropped) + self._in_hand

    @property
    def oldest(self) -> float | None:
        """When the first event in memory was raised, on the monotonic clock."""
        return self._inner.oldest

    @property
    def room(self) -> int:
        """How many events may wait in memory."""
        return self._inner.room

    def has_room_for(self, event: Event) -> bool:
        """Return whether *event* would wait, or is not worth waiting for; see `Queue.has_room_for`."""
        if self.is_kept:
            return self._inner.has_room_for(event)
        return self._overflow != "block" or self._has_room_for(event)

    def overflow_of(self, event: Event) -> int:
        """Return how many events at the head make room for *event*, or for a part of it."""
        return self._inner.overflow_of(event) if self._fits(event) else max(1, self._inner.overflow_of(event))

    @property
    def _overflow(self) -> str:
        return self._when_full or self._shared.overflow

    def _has_room_for(self, event: Event) -> bool:
        return self._inner.has_room_for(event) and self._fits(event)

    def _fits(self, event: Event) -> bool:
        return not (self._most_bytes and self.bytes) or self.bytes + len(event.payload) <= self._most_bytes

    # Events that come

    def append(self, event: Event) -> None:
        """Add an event behind the others; QueueFull when its bytes do not fit."""
        if self._most_bytes and not self._fits(event):
            raise QueueFull
        self._inner.append(event)
        if not self.is_kept:
            self._grow((event,))

    def track(self, done: Done) -> None:
        """Have *done* called with the outcome of the last event."""
        self._inner.track(done)

    def spill(self, event: Event) -> bool:
        """Take an event that finds no room, in the place of the oldest ones or elsewhere; return whether it waits."""
        if self._inner.spill(event):
            return True
        if self.is_kept or not self._inner.room or self._overflow != "drop_oldest":
            return False
        if len(self._dropped) >= MANY:
            self.fail_dropped()
        while not self._has_room_for(event):
            events, dones = self._take(self.overflow_of(event), 0)
            self._dropped += [(each, dones.get(index)) for index, each in enumerate(events)]
        self._inner.append(event)
        self._grow((event,))
        self._shared.fail_later(self)
        return True

    # Batches

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Remove up to *most* events from the head; see `Queue.take`."""
        self.fail_dropped()
        return self._take(most, number)

    def _take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        events, dones = self._inner.take(most, number)
        self._passed = max(0, self._passed - len(events))
        if not self.is_kept:
            self._grow(events, -1)
        return events, dones

    def ids(self, number: int) -> Sequence[str] | None:
        """Return what names the events of a batch; see `Queue.ids`."""
        return self._inner.ids(number)

    def settle(self, number: int, kept: Sequence[int]) -> None:
        """Record which events of a batch have their outcome; see `Queue.settle`."""
        self._inner.settle(number, kept)

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Put events that came back before the others."""
        self._inner.give_back(number, events, dones)
        self._passed += len(events)
        if not self.is_kept:
            self._grow(events)

    # What changes

    def configure(self, room: int, policy: Policy) -> None:
        """Apply other bounds and another policy; a queue that is above keeps its events."""
        self._inner.configure(room, policy)
        self._apply(policy)

    def _apply(self, policy: Policy) -> None:
        self.priority = policy.priority or 0
        self._when_full = policy.when_full
        self._most_bytes = 0 if self.is_kept else policy.max_bytes or 0

    def drop_stored(self, reason: str) -> None:
        """Remove the events that wait elsewhere; see `Queue.drop_stored`."""
        self._inner.drop_stored(reason)

    def close(self) -> None:
        """Take no more events."""
        self._inner.close()

    # Events that fail in the queue

    def fail_dropped(self) -> None:
        """Fail the events that have given up their places."""
        if not self._dropped:
            return
        dropped, self._dropped = self._dropped, []
        dones = {index: done for index, (_, done) in enumerate(dropped) if done is not None}
        self._subscriber.fail_events([event for event, _ in dropped], dones, "queue_full")
        self._wake()

    def shed(self, size: int, most: int) -> int:
        """Fail at most *most* events at the head, until these have *size* bytes; return how many events failed."""

        def have_size(events: Sequence[Event]) -> int:
            total = 0
            for index, event in enumerate(events):
                if total >= size:
                    return index
                total += len(event.payload)
            return len(events)

        return self._fail_head(most, have_size, "shed")[0]

    def _fail_head(
        self, most: int, count_of: Callable[[Sequence[Event]], int], reason: str
    ) -> tuple[int, Event | None]:
        """Fail the first events, as many as *count_of* returns; return how many, and the first one that is left."""
        if not len(self._inner):
            return 0, None
        passed = self._passed
        events, dones = self._take(most, 0)
        count = count_of(events)
        rest = range(count, len(events))
        self._inner.settle(0, rest)
        if rest:
            self.give_back(0, *picked(events, dones, rest))
        self._passed = max(0, passed - count)
        if count:
            self._subscriber.fail_events(*picked(events, dones, range(count)), reason)
            self._wake()
        return count, events[count] if rest else None

    def _grow(self, events: Sequence[Event], sign: int = 1) -> None:
        size = sign * sum(len(event.payload) for event in events)
        self.bytes += size
        self._shared.grow(size)


def picked(
    events: Sequence[Event], dones: Mapping[int, Done], indexes: Sequence[int]
) -> tuple[Sequence[Event], Mapping[int, Done]]:
    """Return the events with the indexes, and their callbacks by their places among these."""
    callbacks = {place: dones[index] for place, index in enumerate(indexes) if index in dones} if dones else NO_DONES
    return [events[index] for index in indexes], callbacks
