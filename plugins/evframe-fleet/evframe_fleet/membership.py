"""The membership in the consumer group: which partitions this gateway owns, their frames, and commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import ConsumerStoppedError, InvalidSessionTimeoutError, KafkaError
from evframe_kafka_clients.closing import commit, end
from evframe_kafka_clients.places import Places
from evframe_kafka_clients.starting import closing, start
from evframe_timing import Slices

from evframe_fleet.group import Assignor, members_of
from evframe_fleet.options import Options
from evframe_fleet.readers import SLICE_S
from evframe_fleet.topics import TopicError

if TYPE_CHECKING:
    from evframe_fleet.member import Member

_POLL_MS: Final = 200
_NEVER_MS: Final = 2**31 - 1
_RETRY_S: Final = 0.1
_LOOK_S: Final = 0.01
_MOST_RECORDS: Final = 200


class Membership(ConsumerRebalanceListener):  # type: ignore[misc] # the library has no types
    """A member of the group.

    Args:
        options: of the fleet.
        places: where the brokers are.
        made: the options of the library.
        machine: gets the partitions and their frames.
    """

    def __init__(self, options: Options, places: Places, made: Mapping[str, Any], machine: Member) -> None:
        self._options = options
        self._limit_s = options.connect_timeout_ms / 1000
        self._places = places
        self._machine = machine
        self._assignor = Assignor(options.leases_topic)
        self._consumer = AIOKafkaConsumer(
            # The group divides partitions in the order of these: a gateway that comes back gets what it had, and so do
            # the others, whose connections to those subscribers are still open.
            **{**made, "client_id": f"{made.get('client_id', 'evframe')}-{options.name}"},
            request_timeout_ms=options.session_timeout_ms + options.connect_timeout_ms,
            group_id=options.group_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=options.session_timeout_ms,
            heartbeat_interval_ms=options.heartbeat_interval_ms,
            max_poll_interval_ms=_NEVER_MS,  # a member that is slow because its subscribers are slow is alive
            rebalance_timeout_ms=options.session_timeout_ms,
            partition_assignment_strategy=(self._assignor,),
            fetch_max_wait_ms=100,  # a partition that is added waits for the request under way
            max_partition_fetch_bytes=max(1 << 20, options.frame_bytes + 65_536),
        )
        self.answered_at = time.monotonic()
        """When the brokers have last accepted a commit or an assignment."""
        self._owned: set[int] = set()  # as the machine knows
        self._open: set[int] = set()  # whose frames are passed
        self._epoch = 0
        self._taking_over: asyncio.Task[None] | None = None
        self._commits: set[asyncio.Task[bool]] = set()
        self._refusal: TopicError | None = None
        self._on_member: Callable[[], object] = lambda: None
        self._is_starting = self._is_leaving = self._has_ended = False

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._options.events_topic, partition)

    async def run(self, on_member: Callable[[], object]) -> None:
        """Join the group, and pass frames until this is cancelled.

        Args:
            on_member: called when the group has divided the partitions.

        Raises:
            KafkaError: if the library cannot continue.
            TimeoutError: if the cluster does not answer in time.
            TopicError: if other members have other topics, or the brokers refuse the length of a session.
        """
        self._on_member = on_member
        self._is_starting = True
        try:
            await start(self._consumer, self._places, self._limit_s)
        finally:
            self._is_starting = False
        if not self._is_leaving:
            self._consumer.subscribe([self._options.events_topic], listener=self)
        while True:
            if self._is_leaving:
                await asyncio.get_running_loop().create_future()
            if self._refusal is not None:
                raise self._refusal
            try:
                async with asyncio.timeout(_POLL_MS / 1000 + self._limit_s):
                    found = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
            except TimeoutError:
                continue  # a rebalance is under way
            except InvalidSessionTimeoutError:
                raise TopicError.of_session(self._options) from None
            except (KafkaError, ConsumerStoppedError) as error:
                if not self._is_leaving and not getattr(error, "retriable", False):
                    raise
                await asyncio.sleep(_RETRY_S)
                continue
            await self._pass(found)

    async def _pass(self, found: Mapping[TopicPartition, Iterable[Any]]) -> None:
        """Pass frames to the machine, in slices."""
        epoch, slices = self._epoch, Slices(SLICE_S)
        for place, records in found.items():
            for record in records:
                if epoch != self._epoch:
                    return
                if place.partition not in self._open:
                    self._consumer.seek(place, record.offset)
                    break
                self._machine.frame_read(place.partition, record.offset, record.value)
                await slices.pause()

    def end_of(self, partition: int) -> int | None:
        """Return the offset behind the last frame of a partition, as the last answer to a fetch had it; or None."""
        with suppress(KafkaError):
            end: int | None = self._consumer.highwater(self._place(partition))
            return end
        return None

    # As the machine uses it

    def read_from(self, partition: int, offset: int) -> None:
        """Begin to pass frames of a partition; see `Log.read_from`."""
        if partition in self._owned:
            with suppress(KafkaError):  # the partition is another member's by now
                self._consumer.seek(self._place(partition), offset)
                self.resume(partition)

    def pause(self, partition: int) -> None:
        """Pass no frame of *partition*; see `Log.pause`."""
        with suppress(KafkaError):
            self._consumer.pause(self._place(partition))
            self._open.discard(partition)

    def resume(self, partition: int) -> None:
        """Pass frames of *partition* again; see `Log.resume`."""
        with suppress(KafkaError):
            self._consumer.resume(self._place(partition))
            self._open.add(partition)

    def commit(self, offsets: Mapping[int, int], done: Callable[[bool], None]) -> None:
        """Commit offsets; see `Log.commit`."""
        task = asyncio.ensure_future(self._commit(dict(offsets)))
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)
        # Not by the task itself: one that is cancelled before its first turn would do nothing.
        task.add_done_callback(lambda task: done(not task.cancelled() and task.result()))

    async def _commit(self, offsets: dict[int, int]) -> bool:
        epoch = self._epoch
        if offsets.keys() <= self._owned:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(self._options.session_timeout_ms / 2000):
                    await commit(self._consumer, {self._place(each): offset for each, offset in offsets.items()})
                self.answered_at = time.monotonic()
                return epoch == self._epoch
        return False

    # As the library uses it

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 these are all
        """Hand over all partitions: at each rebalance, the members divide all of them anew."""
        await self._hand_over()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin to take over partitions; their frames wait until that is done."""
        self.answered_at = time.monotonic()
        places = list(assigned)
        for place in places:
            self._consumer.pause(place)
        if self._taking_over is not None:
            self._taking_over.cancel()
        self._taking_over = asyncio.ensure_future(self._take_over(places))

    async def _take_over(self, places: list[TopicPartition]) -> None:
        while True:
            try:
                async with asyncio.timeout(self._limit_s):
                    found = await asyncio.gather(*map(self._committed, places))
                    if await self._has_one_leases_topic():
                        break
            except (KafkaError, TimeoutError):
                pass
            except TopicError as error:
                self._refusal = error
                return
            await asyncio.sleep(_RETRY_S)
        offsets = {place.partition: offset or 0 for place, offset in zip(places, found, strict=True)}
        self._owned = set(offsets)
        self._on_member()
        if offsets:
            self._assignor.is_new = False
            self._machine.assigned(offsets)

    async def _committed(self, place: TopicPartition) -> int | None:
        """Return the offset of the group; a call that is cancelled before its first turn makes no request."""
        offset: int | None = await closing(self._consumer.committed(place))
        return offset

    async def _has_one_leases_topic(self) -> bool:
        """Return whether all members have one; of two, that of earlier members continues, or the first by its name."""
        send = self._consumer._coordinator._send_req  # noqa: SLF001 there is no other way to ask
        members = await members_of(self._options, lambda request: closing(send(request)))
        own = self._options.leases_topic
        if members and members[0].leases_topic != own:
            raise TopicError.of_leases(self._options, members[0].leases_topic)
        return members is not None and all(each.leases_topic == own for each in members)

    async def _hand_over(self) -> None:
        if self._owned:
            over = asyncio.get_running_loop().create_future()
            self._machine.revoked(set(self._owned), lambda: over.set_result(None))
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * self._options.hand_over_ms / 1000 + _RETRY_S):
                    while not over.done():  # what is due is done more often now: all members wait for this one
                        self._machine.tick()
                        await asyncio.wait((over,), timeout=_LOOK_S)
                    self._owned.clear()
        self.lose()

    def lose(self) -> None:
        """Own no partition any more, without a hand-over."""
        if self._taking_over is not None:
            self._taking_over.cancel()
            self._taking_over = None
        if self._owned:
            self._machine.lost(set(self._owned))
        self._epoch += 1
        for task in list(self._commits):
            task.cancel()
        self._owned.clear()
        self._open.clear()

    async def stop(self) -> None:
        """Hand over all partitions, and leave the group."""
        self._is_leaving = True
        if self._has_ended or self._is_starting:  # a client that is stopped while it starts continues to do so
            return
        self._has_ended = True
        try:
            await self._hand_over()
        finally:
            await end(self._consumer)
