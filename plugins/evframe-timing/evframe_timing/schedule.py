"""A schedule of keys by the time at which they are due; the cost of a change does not grow with the number of keys."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
_MOST: Final = 16_384  # a larger dictionary would hold the loop up while it grows


class Schedule(Generic[Key]):
    """Keys that are due at the end of the second in which their time is over, or of a part of it.

    The caller that adds a key remembers its time. A key stays until it is removed or popped, so that one whose time
    moves on every refresh leaves no stale entry. The times may be those of any clock, in seconds.

    Args:
        parts: of a second. Keys of one part cost the least.
    """

    def __init__(self, parts: int = 1) -> None:
        self._parts = parts
        self._buckets: dict[int, list[dict[Key, Key]]] = {}
        self._ends: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def next_due(self) -> float:
        """When the earliest key is due; infinity when there is none."""
        ends = self._ends
        while ends and ends[0] not in self._buckets:
            heapq.heappop(ends)
        return ends[0] / self._parts if ends else math.inf

    def add(self, key: Key, at: float) -> None:
        """Add *key*, which the schedule does not have yet, for the time *at*."""
        end = math.ceil(at * self._parts)
        chunks = self._buckets.get(end)
        if chunks is None:
            chunks = self._buckets[end] = [{}]
            heapq.heappush(self._ends, end)
        elif len(chunks[-1]) >= _MOST:
            chunks.append({})
        chunks[-1][key] = key
        self._count += 1

    def remove(self, key: Key, at: float) -> Key:
        """Take out *key*, which was added for the time *at*, and return it as it was added; KeyError if it was not."""
        end = math.ceil(at * self._parts)
        chunks = self._buckets[end]
        for index in range(len(chunks) - 1, -1, -1):
            found = chunks[index].pop(key, None)
            if found is not None:
                self._taken(end, chunks, index)
                return found
        raise KeyError(key)

    def pop(self, now: float) -> Key | None:
        """Take out and return a key that is due the earliest, or None when none is due by *now*."""
        if self.next_due > now:
            return None
        end = self._ends[0]
        chunks = self._buckets[end]
        key, _ = chunks[-1].popitem()
        self._taken(end, chunks, len(chunks) - 1)
        return key

    def _taken(self, end: int, chunks: list[dict[Key, Key]], index: int) -> None:
        self._count -= 1
        if chunks[index]:
            return
        del chunks[index]
        if chunks:
            return
        del self._buckets[end]
        # Times without a key must not accumulate in the heap.
        if len(self._ends) > 2 * len(self._buckets) + 64:
            self._ends = list(self._buckets)
            heapq.heapify(self._ends)
