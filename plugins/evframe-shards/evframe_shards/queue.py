"""The queue of a subscriber that belongs to a shard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol
from zlib import crc32

from evframe_wire.keys import key_of

from evframe.plugin import NO_DONES, STORED, MemoryQueue, QueueFull
from evframe_shards.lane import INDEX_BITS, Gate, Lane

if TYPE_CHECKING:
    from evframe import Event, EventDefinition
    from evframe.plugin import Done, Policy, Subscriber
    from evframe_shards.lane import Entry

_INDEX: Final = (1 << INDEX_BITS) - 1


class Leaving(Protocol):
    """Where the events that are raised here leave to; see `evframe_shards.outgoing.Outgoing`."""

    def put(self, queue: ShardQueue, event: Event) -> bool:
        """Add an event; return whether there was room."""

    def track(self, queue: ShardQueue, done: Done) -> None:
        """Have *done* called with the outcome of the event that was put last."""

    def has_room_for(self, event: Event) -> bool:
        """Return whether there would be room."""


class _Local(MemoryQueue):
    """Events that do not leave the process."""

    __slots__ = ("numbers",)

    def __init__(self, room: int) -> None:
        super().__init__(room)
        self.numbers: set[int] = set()  # of the batches under way


class ShardQueue:
    """A queue whose events leave in frames, and come back where the shard of the subscriber is delivered.

    It never has room in memory, so that each event that is raised comes to `spill`. Until its frame is acknowledged,
    an event counts as `stored`; then it is none of this subscriber any more, and the callback for its outcome gets
    `STORED`. Where the shard is delivered, `accept` takes events out of frames.

    Args:
        subscriber: whose queue it is.
        room: how many events may wait in memory where they are delivered.
        wake: to be called when events have come; see the hook `open_queue`.
        outgoing: of the subscriber's shard.
        is_local: returns whether events of a definition do not leave; None for no such events.
    """

    __slots__ = (
        "_is_local",
        "_local",
        "_outgoing",
        "_pending",
        "_room",
        "_was_local",
        "key",
        "lane",
        "subscriber",
        "wake",
    )

    is_kept = is_own = True
    room = 0

    def __init__(
        self,
        subscriber: Subscriber,
        room: int,
        wake: Callable[[], object],
        outgoing: Leaving,
        is_local: Callable[[EventDefinition], bool] | None = None,
    ) -> None:
        self.subscriber = subscriber
        self.key = key_of(subscriber.socket.canonical)
        """The name of the subscriber in frames."""
        self.wake = wake
        self._room = room
        self._outgoing = outgoing
        self._is_local = is_local
        self._pending = 0  # events that were put and are not acknowledged
        self._local: _Local | None = None
        self._was_local = False  # the last event
        self.lane: Lane | None = None
        """What is delivered here; None while no event of the log has come."""

    # As a subscriber uses it

    def __len__(self) -> int:
        lane, local = self.lane, self._local  # asked for twice with each event that is raised
        count = len(lane.waiting) if lane is not None and lane.gate.is_open else 0
        return count if local is None else count + len(local)

    @property
    def stored(self) -> int:
        """How many events are on their way, or wait for the shard's gate."""
        return self._pending if self.lane is None else self._pending + self.lane.hidden

    @property
    def oldest(self) -> float | None:
        """When the first event in memory was raised, on the monotonic clock; None when none waits."""
        lane, local = self.lane, self._local
        if lane is not None and lane.waiting:
            return lane.waiting[0][1].raised_at
        return None if local is None else local.oldest

    def has_room_for(self, event: Event) -> bool:
        """Return whether *event* may leave."""
        return self._outgoing.has_room_for(event)

    def overflow_of(self, event: Event) -> int:  # noqa: ARG002 for other queues
        """Return 1; see `Queue.overflow_of`."""
        return 1

    def append(self, event: Event) -> None:
        """Have *event* leave; QueueFull when there is no room."""
        if not self.spill(event):
            raise QueueFull

    def spill(self, event: Event) -> bool:
        """Have *event* leave; return False when there is no room for it."""
        if self._is_local is not None:
            self._was_local = self._is_local(event.definition)
            if self._was_local:
                return self._keep_here(event)
        if not self._outgoing.put(self, event):
            return False
        self._pending += 1
        return True

    def _keep_here(self, event: Event) -> bool:
        local = self._local
        if local is None:
            local = self._local = _Local(self._room)
        if len(local) >= local.room:
            return False
        local.append(event)
        return True

    def track(self, done: Done) -> None:
        """Have *done* called with the outcome of the last event."""
        if self._was_local and self._local is not None:
            self._local.track(done)
        else:
            self._outgoing.track(self, done)

    def configure(self, room: int, policy: Policy) -> None:  # noqa: ARG002 the policy is that of other queues
        """Have *room* for events in memory; a queue that has more keeps them."""
        self._room = room
        if self._local is not None:
            self._local.room = room

    def drop_stored(self, reason: str) -> None:
        """Count the events that have left and are not acknowledged, and those behind the gate, as failed."""
        count, self._pending = self.stored, 0
        if self.lane is not None and self.lane.hidden:
            self.lane.waiting.clear()
        self.subscriber.fail(count, reason)

    def close(self) -> None:
        """Take no more events into memory."""
        self._room = 0
        if self._local is not None:
            self._local.close()

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Remove up to *most* events from the head; none of the log while the gate is closed."""
        lane, local = self.lane, self._local
        if lane is not None and lane.waiting and (events := lane.take(most, number)):
            self._use_room(lane)
            return events, NO_DONES
        if not local:
            return (), NO_DONES
        local.numbers.add(number)
        return local.take(most, number)

    def ids(self, number: int) -> Sequence[str] | None:
        """Return the names of the events of batch *number*, the same ones in each process."""
        entries = None if self.lane is None else self.lane.under_way.get(number)
        if entries is None:
            return None
        own = f"{crc32(self.key.encode()):08x}"
        return [f"{frame.name}-{place & _INDEX:x}-{own}" for place, _, frame in entries]

    def settle(self, number: int, kept: Sequence[int]) -> None:
        """Record that the events of batch *number* have their outcome, all but those with the indexes *kept*."""
        lane = self.lane
        if lane is not None and lane.settle(number, kept):
            self._use_room(lane)
        elif self._local is not None and not kept:
            self._local.numbers.discard(number)

    def give_back(self, number: int, events: Sequence[Event], dones: Mapping[int, Done]) -> None:
        """Put events that came back before the others; what came of a shard that is not delivered here is dropped."""
        lane, local = self.lane, self._local
        if lane is not None and lane.give_back(number):
            return
        if local is not None and number in local.numbers:
            local.numbers.discard(number)
            local.give_back(number, events, dones)
        else:
            self.subscriber.mirror(0, None)  # as in `leave`, which came while the batch was under way
            self.subscriber.count_found(-len(events))

    # As the shard uses it

    def acknowledged(self, count: int, dones: Sequence[Done]) -> None:
        """Forget the oldest *count* events that have left, which are kept elsewhere now, and call *dones*."""
        count = min(count, self._pending)  # unless they were counted as failed
        self._pending -= count
        subscriber = self.subscriber
        subscriber.count_found(-count)
        if dones:
            subscriber.call_with(STORED, dones)
        if subscriber.ended:
            self.wake()

    def given_up(self, count: int, dones: Sequence[Done], reason: str) -> None:
        """Fail the oldest *count* events that have left, and call *dones* with *reason*."""
        count = min(count, self._pending)
        self._pending -= count
        self.subscriber.fail(count, reason)
        self.subscriber.call_with(reason, dones)

    def refused(self, event: Event, done: Done | None) -> None:
        """Fail an event that is too large for any frame."""
        self._pending -= 1
        self.subscriber.fail_events((event,), NO_DONES if done is None else {0: done}, "too_large")

    def enter(self, gate: Gate, floor: int) -> Lane:
        """Have events of the log come from now on; those below the position *floor* are settled."""
        self.lane = Lane(gate, floor)
        return self.lane

    def accept(self, entries: Sequence[Entry]) -> int | None:
        """Take events of the log, ascending, into memory but for those that were settled before.

        Returns:
            The position of the first one that finds no room, nor does any behind it; None when there is room for all.
        """
        lane = self.lane
        assert lane is not None
        if entries[0][0] < lane.floor:
            entries = [entry for entry in entries if entry[0] >= lane.floor]
        waiting = lane.waiting
        rest = entries[max(0, self._room - len(waiting) - lane.taken) :]
        if rest:
            entries = entries[: -len(rest)]
        if entries:
            was_empty = not waiting
            waiting.extend(entries)
            self.subscriber.count_found(len(entries))
            if was_empty:
                self.wake()
        return rest[0][0] if rest else None

    def leave(self) -> None:
        """Have no more events of the log: those that wait are dropped, and outcomes of others are ignored."""
        lane, self.lane = self.lane, None
        self.subscriber.mirror(0, None)  # whether the peer is away is what its next owner finds
        if lane is not None and lane.waiting:
            self.subscriber.count_found(-len(lane.waiting))
            if self.subscriber.ended:
                self.wake()

    def _use_room(self, lane: Lane) -> None:
        if lane.behind is not None and len(lane.waiting) + lane.taken <= self._room // 4:
            lane.gate.has_room(self)
