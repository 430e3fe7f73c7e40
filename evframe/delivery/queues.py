"""Queues: the events that wait for one subscriber, in the order in which they were raised."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from evframe.config.policy import NONE as NO_POLICY
from evframe.config.policy import Policy
from evframe.events.event import Event

Done = Callable[[str | None], Any]
"""Called once with the outcome of an event: None when it is delivered, else the reason why not."""


STORED: Final = "stored"
"""The outcome of an event that is on disk, where that is all that is waited for."""


class UntilStored:
    """A callback that is satisfied with `STORED`; later outcomes of the event do not reach it.

    Args:
        done: called once.
    """

    __slots__ = ("_done",)

    def __init__(self, done: Done) -> None:
        self._done: Done | None = done

    @property
    def is_called(self) -> bool:
        """Whether the event has its outcome."""
        return self._done is None

    def __call__(self, reason: str | None) -> None:
        """Take the outcome."""
        done, self._done = self._done, None
        if done is not None:
            done(reason)


class QueueFull(Exception):  # noqa: N818 the name says what is the matter, as that of the standard library's `queue.Full`
    """The queue has no room for an event."""


class Queue(Protocol):
    """What a subscriber needs of the queue that its events wait in.

    A queue that another plugin makes, such as one on disk, has the same members.
    """

    @property
    def room(self) -> int:
        """How many events may wait in memory."""

    @property
    def stored(self) -> int:
        """How many events wait elsewhere, such as on disk."""

    @property
    def oldest(self) -> float | None:
        """When the first event was raised, on the monotonic clock; None when none waits, or that is not known."""

    is_kept: bool
    """Whether its events outlive the process: the end of the deliveries fails none."""
    is_own: bool
    """Whether it has rules besides the bounds of ``[core]``: no event is sent without a place in it, it learns which
    events have their outcome, and `spill` decides about an event that finds no room."""

    def __len__(self) -> int:
        """How many events wait in memory."""

    def has_room_for(self, event: Event) -> bool:
        """Return whether *event* would wait without a loss; callers that raise with `block` wait until it would."""

    def overflow_of(self, event: Event) -> int:
        """Return how many events at the head make room for *event*, which finds none."""

    def append(self, event: Event) -> None:
        """Add an event behind the others; the caller has compared `len` with `room`.

        Raises:
            QueueFull: if the queue has another bound, which the event exceeds.
        """

    def spill(self, event: Event) -> bool:
        """Add an event that finds no room in memory behind the others, elsewhere; return whether it waits there."""

    def configure(self, room: int, policy: Policy) -> None:
        """Have *room* for events in memory, and follow *policy*; a queue that has more keeps them."""

    def drop_stored(self, reason: str) -> None:
        """Remove the events that wait elsewhere, count them as failed with *reason*, and call what waits for that."""

    def close(self) -> None:
        """Take no more events."""

    def track(self, done: Done) -> None:
        """Have *done* called with the outcome of the last event; an `UntilStored` when the event is on disk."""

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Remove up to *most* events from the head; return them, and the callbacks by index.

        *number* is that of the batch, for `settle` and `give_back`; it is higher than those before.
        """

    def ids(self, number: int) -> Sequence[str] | None:
        """Return what names each event of batch *number*, which is under way, in every process; None for no names."""

    def settle(self, number: int, kept: Sequence[int]) -> None:
        """Record that the events taken for batch *number* have their outcome, all but those with the indexes *kept*."""

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Put events that were taken for batch *number* and kept before the other events, whatever the bounds.

        No batch is under way then, and the last batch comes first.
        """


NO_DONES: Final[Mapping[int, Done]] = {}


class MemoryQueue(deque[Event]):
    """A queue in memory.

    Args:
        room: how many events may wait.
    """

    __slots__ = ("_dones", "_head", "room", "stored")

    is_kept = is_own = False

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.stored = 0
        self._head = 0  # the position of the first event; positions never change while an event waits
        self._dones: dict[int, Done] = {}

    @property
    def oldest(self) -> float | None:
        """When the first event was raised, on the monotonic clock; None when none waits in memory."""
        return self[0].raised_at if self else None

    def has_room_for(self, event: Event) -> bool:  # noqa: ARG002 for queues that count bytes
        """Return whether *event* may wait with the others."""
        return len(self) < self.room

    def overflow_of(self, event: Event) -> int:  # noqa: ARG002 for queues that count bytes
        """Return 1: one event takes the place of another, also in a queue that is above a bound set later."""
        return 1

    def spill(self, event: Event) -> bool:  # noqa: ARG002 for queues that keep events elsewhere
        """Return False: events wait in memory alone."""
        return False

    def configure(self, room: int, policy: Policy) -> None:  # noqa: ARG002 for queues that have rules
        """Have *room* for events; a queue that has more keeps them."""
        self.room = room

    def drop_stored(self, reason: str) -> None:
        """Do nothing: events wait in memory alone."""

    def close(self) -> None:
        """Take no more events."""
        self.room = 0

    def track(self, done: Done) -> None:
        """Have *done* called with the outcome of the last event."""
        self._dones[self._head + len(self) - 1] = done

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:  # noqa: ARG002 as `settle`
        """Remove up to *most* events from the head; return them, and the callbacks by index."""
        # The collector may run where memory for an object is requested, and a finaliser may raise an event: from the
        # first event that is read to the new head, nothing requests memory. `tuple(self)` would do so in the middle.
        if len(self) == 1 <= most:
            event, head = self.popleft(), self._head
            self._head = head + 1
            done = self._dones.pop(head, None) if self._dones else None
            return (event,), NO_DONES if done is None else {0: done}
        events = list(self) if len(self) <= most else []
        if len(events) == len(self) <= most:
            self.clear()
        else:
            events = [self.popleft() for _ in range(min(most, len(self))) if self]
        head, self._head = self._head, self._head + len(events)
        dones = self._dones
        if not dones:
            return events, NO_DONES
        return events, {index: dones.pop(head + index) for index in range(len(events)) if head + index in dones}

    def ids(self, number: int) -> Sequence[str] | None:  # noqa: ARG002 for queues whose events outlive the process
        """Return None: no other process sends the events of this queue."""
        return None

    def settle(self, number: int, kept: Sequence[int]) -> None:
        """Do nothing: an event that was taken is not in this queue any more."""

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:  # noqa: ARG002
        """Put what `take` has returned before the other events."""
        backwards, positions = events[::-1], iter(tuple(dones.items()))
        self.extendleft(backwards)  # from here on, nothing requests memory, as in `take`
        self._head -= len(events)
        for index, done in positions:
            self._dones[self._head + index] = done


class ByteQueue(MemoryQueue):
    """A queue in memory that has a bound for the bytes of its payloads, too.

    Args:
        room: how many events may wait.
        most_bytes: how many bytes may wait; an event that waits alone may have more.
    """

    __slots__ = ("bytes", "most_bytes")

    def __init__(self, room: int, most_bytes: int) -> None:
        super().__init__(room)
        self.bytes = 0
        """How many bytes wait."""
        self.most_bytes = most_bytes

    def has_room_for(self, event: Event) -> bool:
        """Return whether *event* may wait with the others."""
        fits = not self or self.bytes + len(event.payload) <= self.most_bytes
        return fits and len(self) < self.room

    def overflow_of(self, event: Event) -> int:
        """Return how many events at the head make room for *event*."""
        excess = self.bytes + len(event.payload) - self.most_bytes
        count, least = 0, int(len(self) >= self.room)
        for head in self:
            if excess <= 0 and count >= least:
                break
            excess -= len(head.payload)
            count += 1
        return count

    def append(self, event: Event) -> None:
        """Add an event behind the others; QueueFull when its bytes do not fit."""
        if self and self.bytes + len(event.payload) > self.most_bytes:
            raise QueueFull
        self.bytes += len(event.payload)
        deque.append(self, event)  # a `super` is an object, whose memory the collector may run for

    def popleft(self) -> Event:
        """Remove the first event and return it."""
        event = deque.popleft(self)
        self.bytes -= len(event.payload)
        return event

    def clear(self) -> None:
        """Remove all events."""
        self.bytes = 0
        deque.clear(self)

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Put what `take` has returned before the other events."""
        size = sum(len(event.payload) for event in events)
        self.bytes += size  # which a finaliser may have changed during the sum
        super().give_back(number, events, dones)


UNOPENED: Final[Queue] = MemoryQueue(0)
"""The queue of every subscriber that has had no event; it has no room, and stays empty."""


def open_queue(room: int, most_bytes: int) -> MemoryQueue:
    """Return an empty queue for *room* events and, unless *most_bytes* is 0, for so many bytes."""
    return ByteQueue(room, most_bytes) if most_bytes else MemoryQueue(room)


def bounded(queue: Queue, room: int, most_bytes: int) -> Queue:
    """Return *queue*, which is in memory, with other bounds, or an empty queue of the kind that these need."""
    if isinstance(queue, ByteQueue) != bool(most_bytes):
        return open_queue(room, most_bytes)
    queue.configure(room, NO_POLICY)
    if isinstance(queue, ByteQueue):
        queue.most_bytes = most_bytes
    return queue
