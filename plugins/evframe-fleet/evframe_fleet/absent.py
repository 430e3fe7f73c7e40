"""The subscribers of a partition whose events cannot be taken into memory yet: where they continue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evframe_shards.lane import Gate
    from evframe_shards.queue import ShardQueue

    from evframe_fleet.parts import Parts


class Absent:
    """Subscribers whose queues this gateway lacks, or that have events of another partition.

    One partition at a time has the queue of a subscriber. When the number of partitions has grown, what was written
    before is in another one than what comes, and the second one waits here until the first one is settled.

    Args:
        gate: of the partition, by which its queues are known.
        enter: has a queue continue at a position.
        parts: what is shared.
    """

    def __init__(self, gate: Gate, enter: Callable[[ShardQueue, int], None], parts: Parts) -> None:
        self._gate = gate
        self._enter = enter
        self._parts = parts
        self.places: dict[str, int] = {}
        """The positions from which on events are to be read again, by the names of the subscribers."""

    def add(self, key: str, place: int) -> bool:
        """Have a subscriber continue at *place* unless it waits for an earlier one; return False if it has ended."""
        if self._has_ended(key):
            return False
        self.places.setdefault(key, place)
        return True

    def _has_ended(self, key: str) -> bool:
        return key not in self._parts.queues and key not in self._parts.table.sockets

    def is_here(self, queue: ShardQueue) -> bool:
        """Return whether the partition has a queue, which it gets if no other one has it."""
        lane = queue.lane
        if lane is not None:
            return lane.gate is self._gate
        place = self.places.pop(queue.key, None)
        if place is not None:
            self._enter(queue, place)
        return True

    def look(self) -> None:
        """Have those continue that can, and forget those that have ended."""
        for key in list(self.places):
            queue = self._parts.queues.get(key)
            if queue is not None:
                self.is_here(queue)
            elif self._has_ended(key):
                del self.places[key]
