"""A queue that has room in memory as far as the journal grants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evframe_journal.limits import Limits, Owner
from evframe_journal.memory import EVENT_BYTES, LEAST
from evframe_journal.written import WrittenQueue

if TYPE_CHECKING:
    from evframe_journal.bounds import Kept


class GrantedQueue(WrittenQueue):
    """A queue that asks for room in memory in steps, and gives it back; see `PlacedQueue` for its events.

    Args:
        owner: the journal.
        limits: how much may wait.
        kept: what the file has for the subscriber.
    """

    __slots__ = (
        "_granted",
        "_has_bounds",
        "_head_then",
        "_is_closed",
        "_memory",
        "_owner",
        "is_reading",
        "limits",
        "size",
    )

    def __init__(self, owner: Owner, limits: Limits, kept: Kept) -> None:
        super().__init__(kept.low, kept.tail)
        self.limits = limits
        self._owner = owner
        self._memory = owner.memory
        self._granted = 0  # the events that may be in memory
        self.stored = kept.count  # events that wait and are not in memory, or fresh
        self.size = kept.size  # of the payloads of these
        self.is_reading = False
        self._is_closed = False
        self._has_bounds = False
        self._bind()
        self._head_then = kept.low  # at the last look at how much is in memory
        self._note_kept(kept)

    def _note_kept(self, kept: Kept) -> None:
        """Have the size of the events in the file count before they are read."""
        if kept.count:
            self._memory.expect(kept.size // kept.count + EVENT_BYTES, kept.count)

    def _bind(self) -> None:
        # `spill` asks for this alone, because it is called for each event while the subscriber is away.
        self._has_bounds = self._is_closed or self.limits.drops_oldest or bool(self.limits.most_bytes)

    def _grow(self, size: int) -> bool:
        memory = self._memory
        wanted = min(self.limits.events - self._granted, max(memory.step(size), LEAST - self._granted))
        if wanted > 0:
            self._granted += memory.grant(self._granted, wanted)
        self._open_room()
        return len(self) < self.room

    def _open_room(self) -> None:
        self.room = 0 if self.stored or self._is_closed else max(0, self._granted - self._taken)

    @property
    def excess(self) -> int:
        """How many bytes of payloads wait outside of the memory that its bound has no room for."""
        return max(0, self.size - self.limits.most_bytes) if self.limits.most_bytes else 0

    @property
    def fresh_bytes(self) -> int:
        """How many bytes of payloads wait to be written."""
        return sum(len(event.payload) for event in self._fresh)

    def share(self, most: int) -> None:
        """Have room for at most *most* events in memory, or a few, unless some were taken since the last call."""
        before, self._head_then = self._head_then, self.head
        if before == self.head and self._granted > max(most, LEAST):
            self._shrink(max(most, LEAST) if self or self.stored else 0)

    def leave(self) -> None:
        """Have no room any more: the subscriber is released."""
        self._memory.take_back(self._granted)
        self._granted = 0

    def _shrink(self, most: int) -> None:
        """Have room for *most* events in memory; those that are written are on disk alone then."""
        excess = len(self) - most
        if excess > 0 and not self.is_reading and self._late_end <= self.settled.low:
            positions = self.settled.open_from(self.head, len(self))
            if positions[-1] < self.written:
                self._unload(excess, positions[-excess])
        left = max(most, len(self) + self._taken)
        if left < self._granted:
            self._memory.take_back(self._granted - left)
            self._granted = left
        self._open_room()

    def _unload(self, count: int, loaded: int) -> None:
        if not self.stored:
            self._tail = self.tail
        for _ in range(count):
            self.size += len(self.pop().payload)
        self.stored += count
        self.loaded = loaded
