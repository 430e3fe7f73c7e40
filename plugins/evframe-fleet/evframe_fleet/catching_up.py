"""Frames that are read again, for subscribers that had no room for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from evframe_kafka_clients.closing import end as end_client
from evframe_kafka_clients.places import Places
from evframe_kafka_clients.starting import start

from evframe_fleet.log import Reread
from evframe_fleet.options import Options

_WAIT_MS: Final = 1000
_MOST_BYTES: Final = 1 << 17  # what is decoded at once; a record that is larger comes alone
Done = Callable[[Reread | None], None]


class CatchUp:
    """Reads some records of any partition, for one request after the other.

    Args:
        options: of the fleet.
        places: where the brokers are.
        made: the options of the library.
    """

    def __init__(self, options: Options, places: Places, made: Mapping[str, Any]) -> None:
        self._parts = [TopicPartition(options.events_topic, number) for number in range(options.partitions)]
        self._limit_s = options.connect_timeout_ms / 1000
        self._places = places
        self._requests: asyncio.Queue[tuple[int, int, int, Done]] = asyncio.Queue()
        self._consumer = AIOKafkaConsumer(
            **made,
            request_timeout_ms=options.connect_timeout_ms,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=10,  # what is asked for has arrived
            max_partition_fetch_bytes=_MOST_BYTES,
        )
        self._is_started = False

    def read(self, partition: int, offset: int, end: int, done: Done) -> None:
        """Read records from *offset* on, below *end*; see `evframe_fleet.log.Log.read_again`."""
        self._requests.put_nowait((partition, offset, end, done))

    async def run(self) -> None:
        """Answer requests until this is cancelled."""
        while True:
            partition, offset, end, done = await self._requests.get()
            found: Reread | None = None
            try:
                found = await self._read(self._parts[partition], offset, end)
            except (KafkaError, TimeoutError):
                await asyncio.sleep(0.1)
            finally:
                done(found)

    async def _read(self, place: TopicPartition, offset: int, end: int) -> Reread | None:
        consumer = self._consumer
        async with asyncio.timeout(self._limit_s + _WAIT_MS / 1000):
            if not self._is_started:
                await self._start()
            consumer.seek(place, offset)
            consumer.resume(place)
            try:
                found = await consumer.getmany(place, timeout_ms=_WAIT_MS)
            finally:
                consumer.pause(place)  # at once, else the library requests more, and the next request waits for that
            records = [(record.offset, record.value) for record in found.get(place, ())]
            if records and records[0][0] == offset:
                # What is behind *end* may have come after the caller had looked, and was not asked for.
                return Reread([each for each in records if each[0] < end], min(end, records[-1][0] + 1), offset)
            first = (await consumer.beginning_offsets([place]))[place]
            last = (await consumer.end_offsets([place]))[place]
        frames = [frame for frame in records if first <= frame[0] < end]
        if frames:
            return Reread(frames, frames[-1][0] + 1, first)
        if offset < first or offset >= last:
            return Reread((), max(offset, first), first)
        return None

    async def _start(self) -> None:
        """Have all partitions assigned, because the library drops what it has with each assignment; none is read."""
        consumer = self._consumer
        await start(consumer, self._places)
        consumer.assign(self._parts)
        for place in self._parts:
            consumer.seek(place, 0)
        consumer.pause(*self._parts)
        self._is_started = True

    async def stop(self) -> None:
        """End the consumer; requests that wait have failed."""
        while not self._requests.empty():
            self._requests.get_nowait()[3](None)
        await end_client(self._consumer)
