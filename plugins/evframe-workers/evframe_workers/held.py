"""The queue of a kept subscriber in a worker, whose events outlive the process at the front."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evframe_workers.mark import Mark, MarkedQueue

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, Policy


class HeldQueue(MarkedQueue):
    """A queue in memory whose events have the names that the journal gave them; the front bounds how many come.

    Args:
        number: as for `MarkedQueue`.
        mark: as for `MarkedQueue`.
    """

    __slots__ = ("_taken", "names")

    is_kept = is_own = True

    def __init__(self, number: int, mark: Mark) -> None:
        super().__init__(sys.maxsize, number, mark)
        self.names: deque[str | None] = deque()
        """Of the events that wait, and of that which comes next; None for one without a name."""
        self._taken: dict[int, Sequence[str | None]] = {}  # by the number of the batch

    def configure(self, room: int, policy: Policy) -> None:
        """Do nothing: the front has the bounds."""

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Remove events from the head, with their names."""
        events, dones = super().take(most, number)
        if events:
            self._taken[number] = [self.names.popleft() for _ in events]
        return events, dones

    def ids(self, number: int) -> Sequence[str] | None:
        """Return the names of the events of batch *number*; None when one has no name."""
        names = [name for name in self._taken.get(number, (None,)) if name is not None]
        return names if len(names) == len(self._taken.get(number, ())) else None

    def settle(self, number: int, kept: Sequence[int]) -> None:
        """Forget the names of the events that have their outcome."""
        names = self._taken.pop(number, ())
        if kept:
            self._taken[number] = [names[index] for index in kept]

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Put events that came back before the others, with their names."""
        super().give_back(number, events, dones)
        self.names.extendleft(reversed(self._taken.pop(number)))
