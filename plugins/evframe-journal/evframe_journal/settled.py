"""Which positions of a subscriber's events have their outcome."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter

_start_of, _end_of = itemgetter(0), itemgetter(1)


class Settled:
    """The lowest position without an outcome, and the positions above it that have one.

    Batches end in any order, and some of their events come back, so that what is settled may have gaps.

    Args:
        low: the lowest position without an outcome.
    """

    __slots__ = ("_above", "_spans", "low")

    def __init__(self, low: int) -> None:
        self.low = low
        self._above: set[int] = set()
        # Ascending, none touches another: the first position, and that behind the last one.
        self._spans: list[tuple[int, int]] = []

    def copy(self) -> Settled:
        """Return another one that has the same positions."""
        copy = Settled(self.low)
        copy._above, copy._spans = self._above.copy(), self._spans.copy()
        return copy

    def add(self, positions: Sequence[int]) -> None:
        """Settle *positions*, which are ascending and open."""
        above = self._above
        if not above and positions and positions[0] == self.low and positions[-1] - self.low + 1 == len(positions):
            self.low = positions[-1] + 1  # as nearly every time
        else:
            above.update(positions)
            while self.low in above:
                above.remove(self.low)
                self.low += 1
        if self._spans:
            self._rise()

    def close(self, start: int, end: int) -> None:
        """Settle all positions from *start* to *end*, some of which may be settled.

        Rows that touch become one, so that what is dropped behind an open event takes no memory one by one.
        """
        start = max(start, self.low)
        if start >= end:
            return
        if len(self._above) <= end - start:
            self._above = {place for place in self._above if not start <= place < end}
        else:
            self._above.difference_update(range(start, end))
        spans = self._spans
        at = bisect_left(spans, start, key=_end_of)
        behind = bisect_right(spans, end, key=_start_of)
        if at < behind:
            start, end = min(start, spans[at][0]), max(end, spans[behind - 1][1])
        spans[at:behind] = [(start, end)]
        self._rise()

    def _rise(self) -> None:
        while (self._spans and self._spans[0][0] <= self.low) or self.low in self._above:
            if self.low in self._above:
                self._above.remove(self.low)
                self.low += 1
            else:
                self.low = max(self.low, self._spans.pop(0)[1])

    def next_open(self, position: int) -> int:
        """Return the lowest position from *position* on that is not in a long row of settled ones."""
        at = bisect_right(self._spans, position, key=_start_of)
        return max(position, self._spans[at - 1][1]) if at else position

    def open_from(self, start: int, count: int) -> Sequence[int]:
        """Return the next *count* positions from *start* that are not settled."""
        place = max(start, self.low)
        if not self._above and not self._spans:
            return range(place, place + count)
        found: list[int] = []
        while len(found) < count:
            place = self.next_open(place) if self._spans else place
            if place not in self._above:
                found.append(place)
            place += 1
        return found

    def __contains__(self, position: int) -> bool:
        return position < self.low or position in self._above or self.next_open(position) != position
