"""The bound for what the queues of all kept subscribers hold in memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from evframe import Event

EVENT_BYTES: Final = 256
"""What an event takes beside its payload and its headers."""
HEADERS_BYTES: Final = 320
"""What headers take beside their texts; the names are those of other events, too."""
READ_EVENTS: Final = 4096
"""For how many events a queue that is spilled wants room at a time."""
LEAST: Final = 64
"""How many events each queue may hold whatever the others have."""
_STEP_BYTES: Final = 65_536
_WEIGHT: Final = 64


def bytes_of(event: Event) -> int:
    """Return how many bytes an event takes in memory."""
    size = len(event.payload) + EVENT_BYTES
    return size if event.carried is None else size + HEADERS_BYTES + sum(map(len, event.carried.values()))


class Sharing(Protocol):
    """A queue, as far as the memory calls it."""

    def share(self, most: int) -> None:
        """Have room for at most *most* events, or a few, unless some were taken since the last call."""


class Memory:
    """Shares a number of bytes among queues: one half for events in memory, the other for those not written yet.

    A queue gets room for events in steps, so that nothing is counted for the events themselves. The sizes of events
    are estimated from those that were spilled or read lately.

    Args:
        most_bytes: for all queues together.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_fresh = 0
        """How many bytes events may have that are not written yet."""
        self.most_bytes = most_bytes
        self.granted = 0
        """How many events the queues have room for."""
        self.fresh = 0
        """How many bytes the events have that are not written yet."""
        self._event_bytes = 2.0 * EVENT_BYTES

    @property
    def most_bytes(self) -> int:
        """How many bytes all queues together may have."""
        return self._most_bytes

    @most_bytes.setter
    def most_bytes(self, most: int) -> None:
        self._most_bytes = most
        self.most_fresh = most // 2

    def note(self, size: int, count: int = 1) -> None:
        """Take the size of *count* other events into the estimate."""
        self._event_bytes += (size - self._event_bytes) * min(1.0, count / _WEIGHT)

    def expect(self, size: int, count: int) -> None:
        """Take the size of *count* events that are to be read into the estimate, where they are larger than that."""
        if size > self._event_bytes:
            self.note(size, count)

    @property
    def events(self) -> int:
        """How many events the half for those in memory is enough for."""
        return int(self.most_bytes / 2 / self._event_bytes)

    @property
    def is_scarce(self) -> bool:
        """Whether nearly all of that half is granted."""
        return self.granted > self.events * 3 // 4

    def share(self, queues: Collection[Sharing]) -> None:
        """Have *queues* that nothing is taken from hold their share of it at most, when it is scarce."""
        if self.is_scarce:
            for queue in queues:
                queue.share(self.events // len(queues))

    def step(self, size: int) -> int:
        """Return for how many events of *size* bytes a queue asks at a time."""
        return max(1, int(_STEP_BYTES / max(size, self._event_bytes)))

    def grant(self, has: int, wanted: int) -> int:
        """Return for how many more events a queue has room now.

        Args:
            has: for how many it has room.
            wanted: how many more it wants.
        """
        least = min(wanted, max(0, LEAST - has))
        count = max(least, min(wanted, self.events - self.granted))
        self.granted += count
        return count

    def take_back(self, count: int) -> None:
        """Have room for *count* events less in a queue."""
        self.granted -= count

    def has_room(self, size: int) -> bool:
        """Return whether an event of *size* bytes may wait to be written."""
        return self.fresh + size <= self.most_fresh
