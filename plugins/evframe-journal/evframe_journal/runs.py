"""Names of events that no other event has: of the queue in which each was raised, and its position there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from secrets import token_bytes
from typing import Final

NAME_BYTES: Final = 8


class Runs:
    """Which positions belong to which run: the time that one process had a queue for the subscriber.

    A process may use positions that an earlier one had used without a trace in the file, because nothing is written
    while the peer takes all. The name of the run distinguishes such events; it is written with them.

    Args:
        first: the position of the first event of this run.
    """

    __slots__ = ("_firsts", "_names")

    def __init__(self, first: int) -> None:
        self._firsts = [first]
        self._names = [token_bytes(NAME_BYTES)]

    def of(self, position: int) -> bytes:
        """Return the name of the run that the event at *position* is of; empty when it was not written."""
        at = bisect_right(self._firsts, position)
        return self._names[at - 1] if at else b""

    def add(self, first: int, name: bytes) -> None:
        """Take the name of the run that the event at *first*, and those behind it, are of."""
        at = bisect_right(self._firsts, first)
        if not at or self._names[at - 1] != name:
            self._firsts.insert(at, first)
            self._names.insert(at, name)

    def alike(self, positions: Sequence[int], start: int, most: int) -> int:
        """Return the end of the positions from the index *start* on that are of one run, *most* at most."""
        end = min(start + most, len(positions))
        name = self.of(positions[start])
        while self.of(positions[end - 1]) != name:
            end -= 1
        return end

    def ids(self, positions: Sequence[int]) -> Sequence[str] | None:
        """Return the names of events; None when that of a run was not written."""
        first, last = self.of(positions[0]), self.of(positions[-1])
        if first == last:
            return [f"{first.hex()}-{position:016x}" for position in positions] if first else None
        names = [self.of(position) for position in positions]
        if not all(names):
            return None
        return [f"{name.hex()}-{position:016x}" for name, position in zip(names, positions, strict=True)]
