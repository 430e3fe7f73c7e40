"""Which positions of a subscriber's events have their outcome."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count as counted
from itertools import islice


class Settled:
    """The lowest position without an outcome, and the positions above it that have one.

    Batches end in any order, and some of their events come back, so that what is settled may have gaps.

    Args:
        low: the lowest position without an outcome.
    """

    __slots__ = ("_above", "low")

    def __init__(self, low: int) -> None:
        self.low = low
        self._above: set[int] = set()

    def add(self, positions: Sequence[int]) -> None:
        """Settle *positions*, which are ascending and open."""
        above = self._above
        if not above and positions and positions[0] == self.low and positions[-1] - self.low + 1 == len(positions):
            self.low = positions[-1] + 1  # as nearly every time
            return
        above.update(positions)
        while self.low in above:
            above.remove(self.low)
            self.low += 1

    def open_from(self, start: int, count: int) -> Sequence[int]:
        """Return the next *count* positions from *start* that are not settled."""
        start = max(start, self.low)
        if not self._above:
            return range(start, start + count)
        return list(islice((place for place in counted(start) if place not in self._above), count))

    def __contains__(self, position: int) -> bool:
        return position < self.low or position in self._above
