"""How far a partition is done."""

from __future__ import annotations


class Partition:
    """The records of one partition that are open, for as long as it is assigned to us."""

    def __init__(self) -> None:
        self._open: dict[int, None] = {}  # in the order of their offsets
        self._end: int | None = None
        self._committed: int | None = None
        self.lost = False
        """Whether another member has it now."""

    def __len__(self) -> int:
        return len(self._open)

    def add(self, offset: int) -> None:
        """Take a record; offsets grow, and may leave some out."""
        self._open[offset] = None
        self._end = offset + 1

    def settle(self, offset: int) -> None:
        """Record that a record is done; once is enough."""
        self._open.pop(offset, None)

    @property
    def position(self) -> int | None:
        """The offset before which everything is done, and which is not committed yet; None when it is."""
        position = next(iter(self._open), self._end)
        return None if position == self._committed else position

    def committed(self, position: int) -> None:
        """Record that *position* is committed."""
        self._committed = position
