"""The events of one subscriber in the process that delivers them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, Protocol

from evframe_shards.frames import SAME

if TYPE_CHECKING:
    from evframe import Event
    from evframe_shards.frames import Frame

INDEX_BITS: Final = 20
"""A position is that of a frame, and in its lowest bits the index of the event in the frame."""
Entry = tuple[int, "Event", "Frame"]
"""The position of an event, the event, and the frame that it was in."""


def deliveries(offset: int, frame: Frame) -> Iterator[tuple[str, Sequence[Entry]]]:
    """Yield each subscriber of the frame at *offset* with its events, ascending by position."""
    base = offset << INDEX_BITS
    entries = list(zip(range(base, base + len(frame.events)), frame.events, repeat(frame), strict=False))
    found: list[list[Entry]] = [[] for _ in frame.sockets]
    chosen: Sequence[int] = ()
    start = 0
    for index, targets in enumerate((*frame.targets, -1)):
        if targets == SAME:
            continue
        for target in chosen:
            found[target] += entries[start:index]
        start = index
        chosen = (targets,) if isinstance(targets, int) else targets
    for key, each in zip(frame.sockets, found, strict=True):
        if each:
            yield key, each


class Gate(Protocol):
    """Decides when events of a shard may be sent."""

    @property
    def is_open(self) -> bool:
        """Whether events of the shard were last found to be ready; they are not shown to the subscriber else."""

    def check(self) -> bool:
        """Return whether a batch may begin now, by the clock."""

    def has_room(self, queue: Any) -> None:
        """Observe that a queue which is behind has room for events again."""


class Lane:
    """What waits and what is under way, with the positions.

    A position is *open* until its event has its outcome.

    Args:
        gate: of the shard.
        floor: events below this position are settled.
    """

    __slots__ = ("behind", "floor", "gate", "taken", "under_way", "waiting")

    def __init__(self, gate: Gate, floor: int) -> None:
        self.gate = gate
        self.floor = floor
        self.behind: int | None = None
        """The position from which events have to be read again, because there was no room for them."""
        self.waiting: deque[Entry] = deque()
        self.under_way: dict[int, Sequence[Entry]] = {}  # by the number of the batch
        self.taken = 0  # how many these are

    @property
    def hidden(self) -> int:
        """How many events wait for the gate."""
        return 0 if self.gate.is_open else len(self.waiting)

    @property
    def is_idle(self) -> bool:
        """Whether every event that came has its outcome."""
        return not self.waiting and not self.under_way and self.behind is None

    def low(self, end: int) -> int:
        """Return the lowest open position.

        Args:
            end: what it is when no position is open: the position of the next event of the shard.
        """
        behind = self.behind
        low = end if behind is None or behind > end else behind
        if self.waiting and self.waiting[0][0] < low:
            low = self.waiting[0][0]
        for entries in self.under_way.values():
            low = min(low, entries[0][0])
        return max(low, self.floor)

    def take(self, most: int, number: int) -> Sequence[Event]:
        """Remove up to *most* events from the head for batch *number*; none while the gate is closed."""
        waiting = self.waiting
        if not waiting or not self.gate.check():
            return ()
        if len(waiting) <= most:
            entries = list(waiting)
            waiting.clear()
        else:
            entries = [waiting.popleft() for _ in range(most)]
        self.under_way[number] = entries
        self.taken += len(entries)
        return [entry[1] for entry in entries]

    def settle(self, number: int, kept: Sequence[int]) -> bool:
        """Settle the events of a batch but for the indexes *kept*; return whether the batch is one of this lane."""
        entries = self.under_way.pop(number, None)
        if entries is None:
            return False
        self.taken -= len(entries) - len(kept)
        if kept:
            self.under_way[number] = [entries[index] for index in kept]
        return True

    def give_back(self, number: int) -> bool:
        """Put the events of a batch before the others; return whether the batch is one of this lane."""
        entries = self.under_way.pop(number, None)
        if entries is None:
            return False
        self.taken -= len(entries)
        self.waiting.extendleft(reversed(entries))
        return True
