"""The queue of a subscriber in a worker: the outcome of each event is awaited, without a callback for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from evframe_workers.mark import Mark, MarkedQueue

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, Policy


class Settling(Protocol):
    """Takes the outcomes of events, by their positions."""

    def settle_all(self, start: int, end: int, reason: str | None) -> None:
        """Keep the outcome of the events from position *start* to *end*."""


class Run(Mapping[int, "Done"]):
    """The callbacks of a batch whose events have positions one after the other.

    `values` has one callback for all of them: a batch that is delivered, or fails as a whole, calls that one.

    Args:
        target: takes the outcomes.
        start: the first position.
        count: how many there are.
    """

    __slots__ = ("_count", "_start", "_target")

    def __init__(self, target: Settling, start: int, count: int) -> None:
        self._target = target
        self._start = start
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._count))

    def __getitem__(self, index: int) -> Done:
        if not 0 <= index < self._count:
            raise KeyError(index)
        start = self._start + index
        return partial(self._target.settle_all, start, start + 1)

    def __call__(self, reason: str | None) -> None:
        """Give all events one outcome."""
        self._target.settle_all(self._start, self._start + self._count, reason)

    def values(self) -> Any:
        """Return the callback for all events."""
        return (self,)


class AwaitedQueue(MarkedQueue):
    """A queue in memory that gives each batch the callbacks for its events when the batch begins.

    The front bounds how many events may come: unless the oldest ones have to make room here, there is room.

    Args:
        target: takes the outcomes.
        room: how many events may wait while the oldest ones have to make room.
        drops_oldest: returns whether they have to.
        number: as for `MarkedQueue`.
        mark: as for `MarkedQueue`.
    """

    __slots__ = ("_drops_oldest", "_next", "_target")

    def __init__(self, target: Settling, room: int, drops_oldest: Callable[[], bool], number: int, mark: Mark) -> None:
        super().__init__(room if drops_oldest() else sys.maxsize, number, mark)
        self._drops_oldest = drops_oldest
        self._target = target
        self._next = 0  # the position of the first event that has no callback yet

    def configure(self, room: int, policy: Policy) -> None:  # noqa: ARG002 as in the base class
        """Have *room* for events while the oldest ones have to make room."""
        self.room = room if self._drops_oldest() else sys.maxsize

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Remove events from the head; return them with a callback for each."""
        events, dones = super().take(most, number)
        fresh = len(events) - len(dones)
        start = self._next
        self._next = start + fresh
        if not dones:
            return events, Run(self._target, start, fresh) if fresh else dones
        found = dict(dones)  # of events that came back, and of those that were put with a callback
        settle_all, position = self._target.settle_all, start
        for index in range(len(events)):
            if index not in found:
                found[index] = partial(settle_all, position, position + 1)
                position += 1
        return events, found
