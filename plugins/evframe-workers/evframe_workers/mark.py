"""Which subscriber a worker delivers to, in memory that it shares with the front: this is known after a crash, too."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from evframe.plugin import MemoryQueue

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done

SIZE: Final = 8
"""Of the memory, in bytes."""


class Mark:
    """The subscriber whose batch has begun last and has no outcome.

    Args:
        descriptor: of `SIZE` bytes; -1 for memory of this process alone.
    """

    def __init__(self, descriptor: int = -1) -> None:
        self._value = memoryview(mmap.mmap(descriptor, SIZE)).cast("q")

    @property
    def number(self) -> int:
        """The number of the subscriber; -1 for none."""
        return self._value[0] - 1

    def set(self, number: int) -> None:
        """Note that a batch of subscriber *number* begins."""
        self._value[0] = number + 1

    def clear(self, number: int) -> None:
        """Note that outcomes came, if the last batch is one of subscriber *number*."""
        if self._value[0] == number + 1:
            self._value[0] = 0


class MarkedQueue(MemoryQueue):
    """A queue in memory that marks its subscriber when a batch begins.

    Args:
        room: how many events may wait.
        number: of the subscriber.
        mark: of the process.
    """

    __slots__ = ("_mark", "_number")

    def __init__(self, room: int, number: int, mark: Mark) -> None:
        super().__init__(room)
        self._number = number
        self._mark = mark

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Remove events from the head, for a batch that begins."""
        self._mark.set(self._number)
        return super().take(most, number)

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Put events that came back before the others."""
        self._mark.clear(self._number)
        super().give_back(number, events, dones)
