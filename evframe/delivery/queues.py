"""Queues of subscribers that count the bytes of the waiting events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from evframe.events.event import Event


class ByteQueue(deque[Event]):
    """A queue that keeps the sum of the bytes of its payloads.

    Args:
        events: the waiting events.
        most: how many bytes may wait; an event that waits alone may have more.
    """

    __slots__ = ("bytes", "most")

    def __init__(self, events: Iterable[Event], most: int) -> None:
        super().__init__(events)
        self.bytes = sum(len(event.payload) for event in self)
        """How many bytes wait."""
        self.most = most

    def has_room_for(self, event: Event) -> bool:
        """Return whether *event* may wait with the others."""
        return not self or self.bytes + len(event.payload) <= self.most

    def append(self, event: Event) -> None:
        """Add an event behind the others."""
        self.bytes += len(event.payload)
        super().append(event)

    def popleft(self) -> Event:
        """Remove the first event and return it."""
        event = super().popleft()
        self.bytes -= len(event.payload)
        return event

    def extendleft(self, events: Iterable[Event]) -> None:
        """Put events before the others, the last of them first."""
        for event in events:
            self.bytes += len(event.payload)
            super().appendleft(event)

    def clear(self) -> None:
        """Remove all events."""
        self.bytes = 0
        super().clear()


def queue_of(events: Iterable[Event], most_bytes: int) -> deque[Event]:
    """Return a queue with *events*; with *most_bytes*, one that counts them."""
    return ByteQueue(events, most_bytes) if most_bytes else deque(events)


def take_all(queue: deque[Event]) -> tuple[deque[Event], deque[Event]]:
    """Return a queue with the events of *queue*, and an empty queue of the same kind to continue with."""
    return queue, queue_of((), queue.most if isinstance(queue, ByteQueue) else 0)


def bounded(queue: deque[Event], most_bytes: int) -> deque[Event]:
    """Return *queue* with the bound *most_bytes*, converted to the kind of queue that this bound needs."""
    if isinstance(queue, ByteQueue) and most_bytes:
        queue.most = most_bytes
        return queue
    return queue_of(queue, most_bytes) if most_bytes or isinstance(queue, ByteQueue) else queue
