"""A gateway of the fleet, without input and output."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from evframe_shards.hashing import shard_of
from evframe_shards.outgoing import Outgoing, Way
from evframe_shards.queue import ShardQueue
from evframe_wire.keys import canonical_of
from evframe_wire.keys import key_of as socket_key_of

from evframe_fleet.leases import Leases
from evframe_fleet.ownership import Partition
from evframe_fleet.parts import Parts
from evframe_fleet.presence import Presence
from evframe_fleet.puts import Puts
from evframe_fleet.table import Record, Table, key_of, names_of

if TYPE_CHECKING:
    from evframe.plugin import Subscriber
    from evframe_fleet.log import Gateway, Log
    from evframe_fleet.positions import Positions
    from evframe_fleet.settings import Settings

_HEAL_S: Final = 10.0  # within the time that the broker keeps records which have later ones
_CLEAN_S: Final = 5.0
_FORGET_S: Final = 120.0


class Member:
    """The machine: see `evframe_fleet.log`. Each of its methods returns at once.

    Args:
        settings: of this member.
        log: the two topics.
        gateway: the process.
        soon: calls a function in the next turn of the loop.
        clock: returns the time of a monotonic clock that runs while the process is stopped, in seconds.
        wall: returns the time of the wall clock, in seconds.
    """

    def __init__(  # noqa: PLR0913 all are what a simulation replaces
        self,
        settings: Settings,
        log: Log,
        gateway: Gateway,
        *,
        soon: Callable[[Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.table = Table(settings.partitions)
        """What the leases topic says."""
        self.partitions: dict[int, Partition] = {}
        """Those that the group has assigned to this gateway."""
        self.settings = settings
        """Of this member."""
        self._log = log
        self._parts = Parts(settings, log, gateway, self.table, clock, wall)
        self._puts = Puts(log, self._resume)
        self._way = Way(
            writer=settings.name,
            send=log.put_frame,
            soon=soon,
            stamp=lambda: self._puts.number,
            known=self._known,
            max_bytes=settings.max_bytes,
            room=settings.room,
            on_room=settings.on_room,
            wall_offset=lambda: wall() - clock(),
        )
        self._outgoing: dict[int, Outgoing] = {}
        self.leases = Leases(self._parts, self._puts, self._owns)
        """Those that this gateway makes and ends."""
        self._void: dict[str, tuple[float, float]] = {}  # when others, and when the owner, write what is
        self._over: dict[str, float] = {}  # keys that get a tombstone, by the time
        self._commit_at = self._forget_at = clock()
        self.presence = Presence(self._parts)
        """Which members live."""
        self._is_committing = False
        self._on_left: Callable[[], None] | None = None

    @property
    def other_group(self) -> str | None:
        """The group that has partitions of the same topic beside this one, so that both would deliver everything."""
        return self.presence.other_group

    # What the gateway calls

    def open(self, subscriber: Subscriber, room: int, wake: Callable[[], None]) -> ShardQueue:
        """Return the queue of a subscriber; arguments as for the hook `open_queue`."""
        shard = self._shard_of(subscriber.socket.canonical)
        outgoing = self._outgoing.get(shard)
        if outgoing is None:
            outgoing = self._outgoing[shard] = Outgoing(shard, self._way)
        queue = ShardQueue(subscriber, room, wake, outgoing, self.settings.is_local)
        self._parts.queues[queue.key] = queue
        partition = self.partitions.get(shard)
        if partition is not None and partition.positions is not None:
            partition.absent.is_here(queue)
        return queue

    def close(self, subscriber: Subscriber) -> None:
        """Forget a subscriber that is released."""
        queue = self._parts.queues.get(socket_key_of(subscriber.socket.canonical))
        if queue is not None and queue.subscriber is subscriber:
            del self._parts.queues[queue.key]
            for partition in self.partitions.values():  # others may have events from before their number has grown
                partition.forget(queue)

    def has(self, canonical: str) -> bool:
        """Return whether other gateways can have a subscriber, too."""
        return socket_key_of(canonical) in self._parts.queues

    def _shard_of(self, canonical: str) -> int:
        return shard_of(canonical, self.settings.partitions)

    def _known(self, stamp: int) -> int | None:
        return max(self._puts.offset, self.table.offset) if self._puts.is_known(stamp) else None

    def _resume(self) -> None:
        for outgoing in self._outgoing.values():
            outgoing.resume()

    # The leases topic

    def lease_read(self, offset: int, key: str, value: bytes | None) -> None:
        """Take the next record of the leases topic, from its beginning on; those of this gateway included."""
        before = self.table.leases.get(key)
        record = self.table.read(offset, key, value)
        if record.problem is not None:
            self._parts.gateway.damaged(offset, record.problem)
        self._puts.read(offset, key, value)
        if record.is_valid:
            self._void.pop(key, None)
        else:
            now = self._parts.clock()
            self._void[key] = (now + _HEAL_S, now)
        if record.kind == "lease":
            self.leases.read(key, record, before)
        elif record.kind == "member":
            self.presence.read(record.names[0])
        elif record.kind == "owner" and record.names[0] in self.partitions and value is not None:
            self._owner_read(record.names[0])
        self._clean(key, record)
        for partition in self.partitions.values():
            partition.release()

    def _owner_read(self, number: int) -> None:
        partition = self.partitions[number]
        if partition.owner_read() and number in self.partitions:  # it is claimed again, if this one is still a member
            self.partitions[number] = Partition(number, partition.offset, self._parts)
            partition.drop()

    def _clean(self, key: str, record: Record) -> None:
        """Replace a record of this gateway that says that something is no more by a tombstone, but not at once.

        Who unsubscribes may subscribe again at once, and a tombstone would come behind that.
        """
        self._over.pop(key, None)
        value, name = record.value or {}, self.settings.name
        is_over = value.get("by") == name or (value.get("at", 0) is None and value["o"][1] == name)
        if is_over and record.is_valid:
            self._over[key] = self._parts.clock() + _CLEAN_S

    def _bury(self, now: float) -> None:
        """Write the tombstones of what has ended some time ago."""
        if self._parts.may_begin or not self.partitions:  # it probably knows what others have written lately
            for key, _ in list(takewhile(lambda each: each[1] <= now, self._over.items())):
                del self._over[key]
                self._log.put_lease(key, None, lambda _: None)

    # The events topic

    def frame_read(self, partition: int, offset: int, value: bytes | None) -> None:
        """Take the next frame of a partition that `Log.read_from` was called for."""
        owned = self.partitions.get(partition)
        if owned is not None:
            owned.frame_read(offset, value)

    def assigned(self, committed: Mapping[int, int]) -> None:
        """Become the owner of these partitions, and of no others.

        Args:
            committed: the offset that the group has committed for each; 0 where it has committed none.
        """
        self.lost(self.partitions)  # the assignment is a whole one
        for number, offset in committed.items():
            self.partitions[number] = Partition(number, offset, self._parts)
        self._commit()

    def revoked(self, partitions: Collection[int], done: Callable[[], None]) -> None:
        """Cease to own *partitions*: no batch begins from now on.

        *done* is called when what was under way is over or has had its time, and the positions are written. The
        adapter awaits it, within a deadline, before it lets the group continue.
        """
        left = set(partitions) & self.partitions.keys()
        if not left:
            done()
            return

        def over(number: int) -> None:
            self.partitions.pop(number, None)
            left.discard(number)
            if not left:
                done()

        for number in list(left):
            self.partitions[number].revoke(partial(over, number))

    def lost(self, partitions: Collection[int]) -> None:
        """Cease to own *partitions* at once, because the group has excluded this member."""
        for number in list(partitions):
            if number in self.partitions:
                self.partitions.pop(number).drop()

    def _commit(self) -> None:
        """Prove that this process is a member."""
        if self._is_committing or not self.partitions:
            return
        self._is_committing = True
        sent = self._commit_at = self._parts.clock()

        def done(is_accepted: bool) -> None:  # noqa: FBT001 a callback
            self._is_committing = False
            if not is_accepted:
                self._commit_at = -1.0  # try again with the next tick
                return
            self._parts.proof = sent
            for partition in self.partitions.values():
                if partition.claimed is None and partition.since <= sent:
                    partition.claim()
                partition.open()

        self._log.commit({number: each.offset for number, each in self.partitions.items()}, done)

    # What is due

    def tick(self) -> None:
        """Do what is due: call this ten times a second."""
        now = self._parts.clock()
        if now >= self._commit_at + self.settings.session_s / 4 or any(
            each.claimed is None for each in self.partitions.values()
        ):
            self._commit()
        for partition in list(self.partitions.values()):
            partition.tick()
        self._puts.retry()
        self._resume()
        self.leases.end_due()
        self.leases.end_unheld(self.presence.is_alive)
        self._heal(now)
        self._bury(now)
        if self._on_left is None:
            self.presence.write(sorted(self.partitions))
        if now >= self._forget_at + _FORGET_S:
            self._forget_at = now
            self.table.forget()
        if self._on_left is not None and not self._puts and all(each.is_empty for each in self._outgoing.values()):
            done, self._on_left = self._on_left, None
            self._log.put_lease(key_of("member", self.settings.name), None, lambda _: done())

    def _owns(self, socket: str) -> bool:
        return self._positions_of(self._shard_of(canonical_of(socket))) is not None

    def _positions_of(self, number: int) -> Positions | None:
        """Return what is settled of a partition; None for one that this gateway may not deliver now."""
        partition = self.partitions.get(number)
        return partition.positions if partition is not None and self._parts.may_begin else None

    def _heal(self, now: float) -> None:
        """Write what is where the last record of a key does not say it, before the others are compacted."""
        for key, (at, at_owner) in list(self._void.items()):
            kind, *names = names_of(key)
            positions = self._positions_of(self._shard_of(canonical_of(names[1])) if kind == "lease" else names[0])
            if positions is None:
                is_due = now >= at and kind == "lease"
            else:
                is_due = now >= at_owner and not positions.is_under_way
            if not is_due:
                continue
            self._void[key] = (now + _HEAL_S, now + 1.0)
            if kind == "lease":
                self._log.put_lease(key, self.table.state_of(key, self.settings.name), lambda _: None)
            elif positions is not None:
                positions.write_again(kind, *names[1:])

    def give_up(self, reason: str) -> int:
        """Fail every event that is not acknowledged, with *reason*; return how many these are."""
        return sum(each.give_up(reason) for each in self._outgoing.values())

    def leave(self, done: Callable[[], None]) -> None:
        """Write everything that is queued, say that this gateway leaves, and call *done*."""
        self._on_left = done
