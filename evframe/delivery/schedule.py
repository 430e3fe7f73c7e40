"""A schedule of keys by second, in which the cost of a change does not grow with the number of keys."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
_MOST: Final = 16_384  # a larger dictionary would hold the loop up while it grows


class Schedule(Generic[Key]):
    """Keys by the whole second at which they are due; the caller that adds a key remembers its second.

    A key stays until it is removed or popped. A key that moves to a later second on every refresh
    leaves no stale entry. The seconds may be those of any clock.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, list[dict[Key, Key]]] = {}
        self._seconds: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def next_due(self) -> float:
        """The second of the earliest key; infinity when there is none."""
        seconds = self._seconds
        while seconds and seconds[0] not in self._buckets:
            heapq.heappop(seconds)
        return seconds[0] if seconds else math.inf

    def add(self, key: Key, at: int) -> None:
        """Add *key*, which the schedule does not have yet, as due at the second *at*."""
        chunks = self._buckets.get(at)
        if chunks is None:
            chunks = self._buckets[at] = [{}]
            heapq.heappush(self._seconds, at)
        elif len(chunks[-1]) >= _MOST:
            chunks.append({})
        chunks[-1][key] = key
        self._count += 1

    def remove(self, key: Key, at: int) -> Key:
        """Take out *key*, which is due at the second *at*, and return it as it was added; KeyError when it is not."""
        chunks = self._buckets[at]
        for index in range(len(chunks) - 1, -1, -1):
            found = chunks[index].pop(key, None)
            if found is not None:
                self._taken(at, chunks, index)
                return found
        raise KeyError(key)

    def pop(self, now: float) -> Key | None:
        """Take out and return a key of the earliest second, or None when none is due by *now*."""
        at = self.next_due
        if at > now:
            return None
        chunks = self._buckets[int(at)]
        key, _ = chunks[-1].popitem()
        self._taken(int(at), chunks, len(chunks) - 1)
        return key

    def _taken(self, at: int, chunks: list[dict[Key, Key]], index: int) -> None:
        self._count -= 1
        if chunks[index]:
            return
        del chunks[index]
        if chunks:
            return
        del self._buckets[at]
        # Seconds without a key must not accumulate in the heap.
        if len(self._seconds) > 2 * len(self._buckets) + 64:
            self._seconds = list(self._buckets)
            heapq.heapify(self._seconds)
