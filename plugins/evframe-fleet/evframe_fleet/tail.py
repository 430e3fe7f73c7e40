"""The leases topic, read from its beginning on by each gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from evframe_kafka_clients.closing import end
from evframe_kafka_clients.places import Places
from evframe_kafka_clients.starting import closing, start
from evframe_timing import Slices

from evframe_fleet.options import Options
from evframe_fleet.records import read_key

_POLL_MS: Final = 500
SLICE_S: Final = 0.005
"""How long the loop serves nothing else while records are read."""


class Tail:
    """Reads all records of the leases topic, and those to come.

    Args:
        options: of the fleet.
        places: where the brokers are.
        made: the options of the library.
        take: called with the offset, the key and the value of each record.
        first: the offset of the first record to read.
    """

    def __init__(
        self,
        options: Options,
        places: Places,
        made: Mapping[str, Any],
        take: Callable[[int, str, bytes | None], None],
        first: int,
    ) -> None:
        self._limit_s = options.connect_timeout_ms / 1000
        self._places = places
        self._take = take
        self._events = options.events_topic
        self.next_offset = first
        """The offset of the record to be read next."""
        self._place = TopicPartition(options.leases_topic, 0)
        self._frames = [TopicPartition(options.events_topic, number) for number in range(options.partitions)]
        self._consumer = AIOKafkaConsumer(
            **made,
            request_timeout_ms=options.connect_timeout_ms,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 << 20,
            max_poll_records=100_000,
        )
        self._is_started = asyncio.Event()
        self._has_moved = asyncio.Event()

    async def run(self) -> None:
        """Read until this is cancelled.

        Raises:
            KafkaError: if the library cannot continue.
            TimeoutError: if it does not answer in time.
        """
        consumer, place = self._consumer, self._place
        async with asyncio.timeout(self._limit_s):
            await start(consumer, self._places)
        consumer.assign([place])
        consumer.seek(place, self.next_offset)
        self._is_started.set()
        while True:
            async with asyncio.timeout(_POLL_MS / 1000 + self._limit_s):
                found = await consumer.getmany(timeout_ms=_POLL_MS)
            records = found.get(place, ())
            slices = Slices(SLICE_S)
            for record in records:
                key = read_key((record.key or b"").decode(errors="replace"), self._events)
                self._take(record.offset, key, record.value)
                self.next_offset = record.offset + 1
                await slices.pause()
            if not records:  # compaction may have removed the records at the end
                async with asyncio.timeout(self._limit_s):
                    self.next_offset = max(self.next_offset, await closing(consumer.position(place)))
            self._has_moved.set()

    async def wait_until_read(self, limit_s: float) -> None:
        """Return when every record is read that is acknowledged now.

        Args:
            limit_s: how long the library may take to say where the topic ends, in seconds.

        Raises:
            KafkaError: if the library cannot say.
            TimeoutError: if it does not say in time.
        """
        async with asyncio.timeout(2 * limit_s):
            await self._is_started.wait()
            ends = await self._consumer.end_offsets([self._place])
        while self.next_offset < ends[self._place]:
            self._has_moved.clear()
            await self._has_moved.wait()

    async def ends(self) -> dict[int, int]:
        """Return the offset behind the last frame of each partition of the events.

        Raises:
            KafkaError: if the library cannot say.
        """
        await self._is_started.wait()
        ends = await self._consumer.end_offsets(self._frames)
        return {place.partition: end for place, end in ends.items()}

    async def stop(self) -> None:
        """End the consumer."""
        await end(self._consumer)
