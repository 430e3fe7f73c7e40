"""A member of a consumer group: its partitions, and how far it is in each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError, KafkaError
from evframe_kafka_clients.closing import commit, end
from evframe_kafka_clients.places import Places
from evframe_kafka_clients.starting import connections_of, start

from evframe import Unavailable
from evframe_kafka_consumer.options import ConnectionOptions
from evframe_kafka_consumer.partition import Partition
from evframe_kafka_consumer.records import Records, is_large

_FULL_MS: Final = 20  # until a partition is looked at again that had no room
_IDLE_MS: Final = 500
_NEVER_MS: Final = 2**31 - 1
_LAST_S: Final = 2.0  # for a commit before the end


class Member(ConsumerRebalanceListener):  # type: ignore[misc] # the library has no types
    """One membership, from the joining of the group to its end.

    Args:
        options: of the connection.
        records: takes the records.
        places: where the brokers are.
        made: the options of the library; see `evframe_kafka_clients.consuming`.
    """

    def __init__(self, options: ConnectionOptions, records: Records, places: Places, made: dict[str, Any]) -> None:
        self._options = options
        self._records = records
        self._places = places
        self.partitions: dict[TopicPartition, Partition] = {}
        """Those that are assigned to us."""
        self._consumer = AIOKafkaConsumer(
            group_id=options.group_id,
            auto_offset_reset=options.auto_offset_reset,
            enable_auto_commit=False,
            # A member that is slow because its subscribers are slow is alive, and says so.
            max_poll_interval_ms=_NEVER_MS,
            **made,
        )

    @property
    def _limit_s(self) -> float:
        return self._options.connect_timeout_ms / 1000

    async def join(self) -> None:
        """Find the cluster, and have the library join the group.

        Raises:
            KafkaError: if there is no cluster, or it does not let us in.
            TimeoutError: if that takes too long.
            Unavailable: if none of the brokers that the cluster names resolves.
        """
        await start(self._consumer, self._places, self._limit_s)
        problem = self._places.problem(connections_of(self._consumer))
        if problem is not None:
            raise Unavailable(problem)
        self._consumer.subscribe(topics=self._options.topics, pattern=self._options.topic_pattern, listener=self)

    async def fetch(self) -> None:
        """Take records of the partitions that have room, or wait a while.

        Raises:
            KafkaError: if the library cannot continue.
        """
        most = self._options.max_in_flight
        rooms = {place: most - self._under_way(place, each) for place, each in self.partitions.items()}
        # With a little room they would come one by one.
        open_ones = {place: room for place, room in rooms.items() if 4 * room >= most}
        if rooms and not open_ones:
            self._records.settled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_MS / 1000):
                    await self._records.settled.wait()
            return
        found = await self._consumer.getmany(
            *open_ones,
            timeout_ms=_IDLE_MS if len(open_ones) == len(rooms) else _FULL_MS,
            max_records=min(open_ones.values(), default=most),
        )
        # Before the first one waits for its preparation, in which a partition may become another member's.
        taken = [(self.partitions.setdefault(place, Partition()), records) for place, records in found.items()]
        for partition, records in taken:
            for record in records:
                prepared = await self._records.prepare(record) if is_large(record) else None
                if partition.lost:
                    break  # meanwhile; its records come again, to others
                self._records.take(partition, record, prepared)

    def _under_way(self, place: TopicPartition, partition: Partition) -> int:
        """Return how many records of a partition are open, with those of an earlier assignment."""
        return max(len(partition), self._records.counts.waiting[place])

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Commit what is done, and what can be done within the bound: others continue from there."""
        lost = [self.partitions[place] for place in revoked if place in self.partitions]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.revoke_timeout_ms / 1000):
                while any(map(len, lost)):
                    self._records.settled.clear()
                    await self._records.settled.wait()
        with suppress(KafkaError, TimeoutError):
            await self.commit()
        for each in lost:
            each.lost = True
        self.partitions.clear()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin with partitions."""
        for place in assigned:
            self.partitions.setdefault(place, Partition())

    async def commit(self) -> bool:
        """Commit how far this member is; return whether there was news, and it has answered.

        Raises:
            KafkaError: if it does not take that.
            TimeoutError: if it does not answer in time.
        """
        news = {place: each.position for place, each in self.partitions.items() if each.position is not None}
        if not news:
            return False
        try:
            async with asyncio.timeout(self._limit_s):
                await commit(self._consumer, news)
        except (CommitFailedError, IllegalStateError):
            return True  # the group has other members by now, which continue from the last commit
        for place, position in news.items():
            if place in self.partitions:
                self.partitions[place].committed(position)
        return True

    async def check_reachable(self) -> None:
        """Check that a broker answers.

        Raises:
            KafkaError: if none does.
            TimeoutError: if none does in time.
        """
        client = connections_of(self._consumer)
        async with asyncio.timeout(self._limit_s):
            if not await client.force_metadata_update():
                await self._places.look_up(client)  # a name whose answer is old is not known to the library meanwhile
                if not await client.force_metadata_update():
                    raise KafkaConnectionError

    async def leave(self) -> None:
        """Commit what is done, and leave the group, within their bounds: the rest comes again, to others."""
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self.commit()
        for each in self.partitions.values():
            each.lost = True
        await end(self._consumer)
