"""The partitions that this gateway delivers: frames, what waits for memory, and the fence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from evframe_shards.frames import Frame, FrameError
from evframe_shards.lane import INDEX_BITS, deliveries
from orjson import dumps

from evframe_fleet.backlog import Absent, Backlog
from evframe_fleet.positions import Positions
from evframe_fleet.table import Stamp, key_of

if TYPE_CHECKING:
    from evframe_shards.lane import Entry
    from evframe_shards.queue import ShardQueue

    from evframe_fleet.parts import Parts


class Partition:
    """A partition that the group has assigned to this gateway.

    It is *claimed* with a record of the next epoch, once a commit was accepted, so that a process that was stopped
    claims nothing. When the record is read back, everything that earlier owners have written is read, too, and nothing
    of theirs is valid any more: frames are read from the front on, or from the lowest separate position that is near.
    Those of subscribers that are further behind are read again beside these: to begin at the committed offset would
    hold all others up, while one subscriber is away.

    Args:
        number: of the partition.
        committed: the offset that the group has committed.
        parts: what is shared.
    """

    def __init__(self, number: int, committed: int, parts: Parts) -> None:
        self.number = number
        self._parts = parts
        self._committed = committed
        self.since = parts.clock()  # a commit that was sent from then on permits the claim
        self.claimed: Stamp | None = None
        self.positions: Positions | None = None
        """Of what is settled; None until the claim is read back."""
        self.is_open = False
        """Whether batches may begin, when the clock was last looked at."""
        self._floor = 0  # what is below was settled by earlier owners
        self.lanes: dict[str, ShardQueue] = {}
        self.absent = Absent(self, self.enter, parts)
        """Subscribers whose events are read again later."""
        self._writers: dict[str, int] = {}  # the highest number of a frame of each that was read
        self.backlog = Backlog(number, parts, self._decoded, self._writers)
        """Of subscribers that have no room for what comes."""
        self._held: list[tuple[int, Frame]] = []
        self._held_since = inf
        self._next = 0  # the offset of the next frame
        self._round_at = -inf
        self._on_revoked: Callable[[], None] | None = None
        self._revoked_at = inf

    @property
    def offset(self) -> int:
        """The offset below which nothing is read any more."""
        return self._committed if self.positions is None else self.positions.floor >> INDEX_BITS

    # The claim

    def claim(self) -> None:
        """Write that this gateway is the owner."""
        epoch, _ = self._parts.table.owners.get(self.number, (0, ""))
        self.claimed = epoch + 1, self._parts.settings.name
        self._parts.log.put_lease(key_of("owner", self.number), dumps({"o": self.claimed}), self._on_claim)

    def _on_claim(self, offset: int | None) -> None:
        if offset is None and self.positions is None:
            self.claimed = None  # claim again

    def owner_read(self) -> bool:
        """Take the owner that the table has now; return whether another process has claimed the partition."""
        owner = self._parts.table.owners[self.number]
        if owner == self.claimed:
            if self.positions is None:
                self._start(owner)
            return False
        is_lost = self.positions is not None or (self.claimed is not None and owner[0] >= self.claimed[0])
        self._over(is_lost)
        return is_lost

    def _start(self, stamp: Stamp) -> None:
        parts, table = self._parts, self._parts.table
        front = table.fronts.get(self.number, self._committed << INDEX_BITS)
        self.positions = Positions(self.number, parts.log, stamp, front, table.behind[self.number])
        self._floor = front
        nearest = front - (parts.settings.near_frames << INDEX_BITS)
        self.backlog.live = min([front, *(place for place in self.positions.written.values() if place >= nearest)])
        self._next = self.backlog.live >> INDEX_BITS
        self._round_at = parts.clock()
        for key, place in self.positions.written.items():
            self.absent.add(key, place)
        self.absent.look()
        parts.log.read_from(self.number, self._next)
        self.open()
        self.backlog.read()

    # The gate

    def check(self) -> bool:
        """Return whether a batch may begin now."""
        self.is_open = self.is_open and self._parts.may_begin
        return self.is_open

    def open(self) -> None:
        """Let batches begin again, if they may."""
        if self.is_open or self.positions is None or self._on_revoked is not None or not self._parts.may_begin:
            return
        self.is_open = True
        for queue in list(self.lanes.values()):
            if len(queue):
                queue.wake()

    # Frames

    def frame_read(self, offset: int, value: bytes | None) -> None:
        """Take the next frame."""
        if self.positions is None or offset < self._next:
            return
        if offset > self._next:
            self._parts.gateway.lost(self.number, offset - self._next, "retention")
        self._next = offset + 1
        frame = self._decoded(value)
        if frame is not None and (self._held or frame.known > self._parts.table.offset):
            if not self._held:
                self._held_since = self._parts.clock()
                self._parts.log.pause(self.number)
            self._held.append((offset, frame))
        elif frame is not None:
            self._deliver(offset, frame)
        elif not self._held:
            self.backlog.live = max(self.backlog.live, self._next << INDEX_BITS)

    def _decoded(self, value: bytes | None) -> Frame | None:
        try:
            wall_offset = self._parts.wall() - self._parts.clock()
            return Frame.decode(value or b"", self._parts.gateway.definition_of, wall_offset)
        except FrameError:
            self._parts.gateway.lost(self.number, 1, "damaged")
            return None

    def release(self) -> None:
        """Deliver the frames that have waited for the leases that their writers knew."""
        parts, late_at = self._parts, self._held_since + self._parts.settings.known_s
        while self._held and (self._held[0][1].known <= parts.table.offset or parts.clock() >= late_at):
            self._deliver(*self._held.pop(0))
            if not self._held:
                self._parts.log.resume(self.number)

    def _deliver(self, offset: int, frame: Frame) -> None:
        if frame.number <= self._writers.get(frame.writer, 0):
            self.backlog.repeated.add(offset)
        else:
            self._writers[frame.writer] = frame.number
            unknown = 0
            for key, entries in deliveries(offset, frame):
                queue = self._parts.queues.get(key)
                if queue is not None and self.absent.is_here(queue):
                    self._accept(queue, entries)
                elif not self.absent.add(key, entries[0][0]):
                    unknown += len(entries)
            if unknown:
                self._parts.gateway.lost(self.number, unknown, "unsubscribed")
        self.backlog.live = max(self.backlog.live, (offset + 1) << INDEX_BITS)
        self.backlog.read()

    def _accept(self, queue: ShardQueue, entries: Sequence[Entry]) -> None:
        lane = queue.lane
        if lane is None:
            lane = queue.enter(self, self._floor)
            self.lanes[queue.key] = queue
        if lane.behind is None:
            lane.behind = queue.accept(entries)

    # Subscribers that are behind

    def enter(self, queue: ShardQueue, place: int) -> None:
        """Have a subscriber continue at a separate position."""
        lane = queue.enter(self, place)
        self.lanes[queue.key] = queue
        if place < self.backlog.live:
            lane.behind = place
            self.backlog.hungry.add(queue)

    def forget(self, queue: ShardQueue) -> None:
        """Forget a subscriber that is released."""
        self.absent.places.pop(queue.key, None)
        if self.lanes.pop(queue.key, None) is not None:
            self.backlog.hungry.discard(queue)
            queue.lane = None

    def has_room(self, queue: ShardQueue) -> None:
        """Have the events read again that a subscriber had no room for."""
        self.backlog.hungry.add(queue)
        self.backlog.read()

    # What is due

    def tick(self) -> None:
        """Do what is due."""
        self.check()
        self.release()
        if self._on_revoked is not None:
            self._leave()
        elif self.positions is not None:
            self.backlog.read()
            if self._parts.clock() >= self._round_at + self._parts.settings.every_s:
                self._begin_round(lambda _: None)

    def _begin_round(self, over: Callable[[bool], None], *, everything: bool = False) -> None:
        positions, live = self.positions, self.backlog.live
        if positions is None or positions.is_under_way:
            return
        if live < self._floor:  # what is written holds until all is read that earlier owners had read
            over(True)
            return
        self._round_at = self._parts.clock()
        self.absent.look()
        lows = dict(self.absent.places)
        for key, queue in list(self.lanes.items()):
            lane = queue.lane
            assert lane is not None
            low = lane.low(live)
            if low < live:
                lows[key] = low
            elif lane.is_idle and lane.floor <= live:
                self.forget(queue)
        self.backlog.forget(self.offset)
        positions.begin(live, lows, over, everything=everything)

    # The end

    def revoke(self, done: Callable[[], None]) -> None:
        """Begin no batch any more, write the positions when those under way are over, and call *done*."""
        self._on_revoked, self.is_open = done, False
        self._revoked_at = self._parts.clock()
        self._leave()

    def _leave(self) -> None:
        passed, limit_s = self._parts.clock() - self._revoked_at, self._parts.settings.revoke_s
        is_quiet = not any(each.lane is not None and each.lane.under_way for each in self.lanes.values())
        if self.positions is None or passed >= 2 * limit_s:
            self._over(True)
        elif is_quiet or passed >= limit_s:
            self._begin_round(self._over, everything=True)

    def _over(self, is_written: bool) -> None:  # noqa: FBT001 a callback
        if is_written and self._on_revoked is not None:
            done, self._on_revoked = self._on_revoked, None
            self.drop()
            done()

    def drop(self) -> None:
        """Forget everything: events in memory are read by another owner."""
        self.is_open = False
        self.backlog.close()
        if self.positions is not None:
            self.positions.is_closed = True
            self.positions = None
        for queue in list(self.lanes.values()):
            queue.leave()
