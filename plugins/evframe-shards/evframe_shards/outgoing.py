"""The events of one shard on their way to the process that delivers them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

import attrs
from orjson import dumps

from evframe_shards.frames import SAME, Frame, Target

if TYPE_CHECKING:
    from evframe import Event, EventDefinition
    from evframe.plugin import Done

EVENT_BYTES: Final = 64
"""What an event takes beside its payload, in a frame."""
_HEAD_BYTES: Final = 256
_TARGET_BYTES: Final = 8
_NAME_BYTES: Final = 64 * 6 + 8  # of an event, when each byte is escaped
Sent = Callable[[int | None], None]
"""Called with the position of a frame that is acknowledged, or with None when it may not have arrived."""


class Source(Protocol):
    """The queue of a subscriber, as far as its events leave it."""

    @property
    def key(self) -> str:
        """The name of the subscriber; see `evframe_wire.keys`."""

    def acknowledged(self, count: int, dones: Sequence[Done]) -> None:
        """Forget the oldest *count* events that have left, and call *dones*."""

    def given_up(self, count: int, dones: Sequence[Done], reason: str) -> None:
        """Fail the oldest *count* events that have left, and call *dones* with *reason*."""

    def refused(self, event: Event, done: Done | None) -> None:
        """Fail an event that is too large for any frame."""


@attrs.define(eq=False)
class Room:
    """How much may wait in all shards of a process."""

    most_bytes: int = 64 * 1024 * 1024
    """Of payloads, with `EVENT_BYTES` for each event."""
    taken: int = 0
    """How many of these bytes wait."""
    was_full: bool = False
    """Whether an event has found no room since this was last set to False."""

    def has(self, size: int) -> bool:
        """Return whether *size* bytes more may wait."""
        if self.taken + size <= self.most_bytes or not self.taken:
            return True
        self.was_full = True
        return False


class _Filling:
    """A frame that is not sent yet."""

    __slots__ = ("counts", "definitions", "dones", "events", "indexes", "last", "size", "stamp", "targets")

    def __init__(self) -> None:
        self.indexes: dict[Source, int] = {}
        self.counts: list[int] = []  # of the events for each of these
        self.events: list[Event] = []
        self.targets: list[Target] = []
        self.dones: list[tuple[Source, Done]] = []
        self.last: Event | None = None
        self.definitions: set[EventDefinition] = set()
        self.size = _HEAD_BYTES
        self.stamp = 0

    def size_of(self, event: Event) -> int:
        """Return the most bytes that an event adds, without what each of its subscribers does."""
        size = len(event.payload) + EVENT_BYTES
        if event.definition not in self.definitions:
            size += _NAME_BYTES
        if event.carried:
            size += _TARGET_BYTES + len(dumps(dict(event.carried)))
        return size


@attrs.frozen(kw_only=True)
class Way:
    """How the frames of a process leave it."""

    writer: str
    """The name of the process, which no other one has, nor an earlier one."""
    send: Callable[[int, bytes, Sent], None]
    """Called with the shard, the bytes and what is to be called with the outcome."""
    soon: Callable[[Callable[[], None]], object]
    """Calls a function in the next turn of the loop."""
    stamp: Callable[[], int] = lambda: 0
    """Called when a frame is complete; see `known`."""
    known: Callable[[int], int | None] = lambda _: 0
    """Called with the stamp of a frame that is to be sent: returns `Frame.known`, or None while the frame has to wait
    until `Outgoing.resume` is called."""
    max_bytes: int = 900_000
    """How large a frame may be."""
    room: Room = attrs.field(factory=Room)
    """How much may wait."""
    on_room: Callable[[], object] = lambda: None
    """Called when there is room again after an event has found none."""
    wall_offset: Callable[[], float] = lambda: time.time() - time.monotonic()
    """Returns the wall clock less the monotonic clock, in seconds."""


class Outgoing:
    """Puts the events of one shard into frames, one of which is under way at a time.

    Hence the order holds, and frames become larger under load. What is raised in one turn of the loop is in one
    frame. A frame that fails is sent again before the next one, with the same number, by which a receiver recognises
    that it has it already.

    Args:
        shard: its number.
        way: what all shards share.
    """

    __slots__ = ("_filling", "_full", "_is_idle", "_number", "_refused", "_sending", "_shard", "_under_way", "_way")

    def __init__(self, shard: int, way: Way) -> None:
        self._shard = shard
        self._way = way
        self._filling = _Filling()
        self._full: deque[_Filling] = deque()  # complete, and not sent yet
        self._refused: list[tuple[Source, Event, Done | None]] = []
        self._sending: tuple[_Filling, bytes] | None = None
        self._under_way = False  # else it has failed
        self._is_idle = True  # whether nothing will call `flush`
        self._number = 0

    @property
    def is_empty(self) -> bool:
        """Whether every event is acknowledged."""
        return self._sending is None and not self._full and not self._filling.events and not self._refused

    def has_room_for(self, event: Event) -> bool:
        """Return whether *event* may wait."""
        return self._way.room.has(len(event.payload) + EVENT_BYTES)

    def put(self, queue: Source, event: Event) -> bool:
        """Add *event* for the subscriber of *queue*; return whether there was room for it."""
        way, filling = self._way, self._filling
        is_same = event is filling.last
        size = _TARGET_BYTES if is_same else filling.size_of(event)
        index = filling.indexes.get(queue)
        if index is None:
            size += len(dumps(queue.key)) + _TARGET_BYTES
        room = way.room
        if room.taken + size > room.most_bytes and not room.has(size):
            return False
        if filling.size + size > way.max_bytes:
            return self._put_in_next(queue, event, size)
        room.taken += size
        filling.size += size
        if index is None:
            index = filling.indexes[queue] = len(filling.counts)
            filling.counts.append(1)
        else:
            filling.counts[index] += 1
        if is_same:
            targets = filling.targets[-1]
            if type(targets) is int:
                filling.targets[-1] = [targets, index]
            else:
                targets.append(index)  # type: ignore[union-attr]
        else:
            filling.events.append(event)
            filling.targets.append(index)
            filling.last = event
            filling.definitions.add(event.definition)
        if self._is_idle:
            self._is_idle = False
            way.soon(self.flush)
        return True

    def _put_in_next(self, queue: Source, event: Event, size: int) -> bool:
        if not self._filling.events or _HEAD_BYTES + size > self._way.max_bytes:
            self._refused.append((queue, event, None))
            self._filling.last = None
            if self._is_idle:
                self._is_idle = False
                self._way.soon(self.flush)
            return True
        self._complete()
        return self.put(queue, event)

    def track(self, queue: Source, done: Done) -> None:
        """Have *done* called with the outcome of the event that was put last."""
        if self._filling.last is None:
            self._refused[-1] = (*self._refused[-1][:2], done)
        else:
            self._filling.dones.append((queue, done))

    def _complete(self) -> None:
        self._filling.stamp = self._way.stamp()
        self._full.append(self._filling)
        self._filling = _Filling()

    def flush(self) -> None:
        """Send the next frame, unless one is under way."""
        refused, self._refused = self._refused, []
        for queue, event, done in refused:
            queue.refused(event, done)
        if self._under_way:
            return
        if self._sending is None:
            if not self._full and self._filling.events:
                self._complete()
            if not self._full:
                self._is_idle = True
                return
            known = self._way.known(self._full[0].stamp)
            if known is None:
                return
            self._sending = self._encoded(self._full.popleft(), known)
        self._under_way = True
        self._way.send(self._shard, self._sending[1], self._acknowledged)

    resume = flush
    """Send a frame that had to wait, or one that has failed, again."""

    def _encoded(self, filling: _Filling, known: int) -> tuple[_Filling, bytes]:
        sockets = [queue.key for queue in filling.indexes]
        way, self._number = self._way, self._number + 1
        targets = filling.targets
        shown = [*targets[:1], *(SAME if one == before else one for before, one in pairwise(targets))]
        frame = Frame(way.writer, self._shard, self._number, known, sockets, filling.events, shown)
        return filling, frame.encode(way.wall_offset())

    def _acknowledged(self, position: int | None) -> None:
        self._under_way = False
        if position is None or self._sending is None:
            return
        filling, _ = self._sending
        self._sending = None
        for queue, count, dones in self._release(filling):
            queue.acknowledged(count, dones)
        if self._way.room.was_full:
            self._way.room.was_full = False
            self._way.on_room()
        self.flush()

    def _release(self, filling: _Filling) -> list[tuple[Source, int, Sequence[Done]]]:
        """Return each queue with the number of its events in a frame, and what is to be called for them."""
        self._way.room.taken -= filling.size - _HEAD_BYTES
        dones: dict[Source, list[Done]] = {}
        for queue, done in filling.dones:
            dones.setdefault(queue, []).append(done)
        counts = zip(filling.indexes, filling.counts, strict=True)
        return [(queue, count, dones.get(queue, ())) for queue, count in counts]

    def give_up(self, reason: str) -> int:
        """Fail every event that is not acknowledged: the process ends. Return how many these are.

        A frame that is under way may arrive nevertheless.
        """
        self.flush()  # for what is too large
        sending = [] if self._sending is None else [self._sending[0]]
        fillings = [*sending, *self._full, self._filling]
        self._sending, self._filling = None, _Filling()
        self._full.clear()
        lost = 0
        for filling in fillings:
            for queue, count, dones in self._release(filling):
                lost += count
                queue.given_up(count, dones, reason)
        return lost
