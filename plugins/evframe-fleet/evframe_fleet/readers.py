"""Readers that are in no group: of the leases topic, from its beginning on, and of frames that are read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from evframe_kafka_clients.closing import end
from evframe_kafka_clients.places import Places
from evframe_kafka_clients.starting import closing, start
from evframe_timing import Slices

from evframe_fleet.log import Reread
from evframe_fleet.options import Options
from evframe_fleet.records import read_key

_POLL_MS: Final = 500
_WAIT_MS: Final = 1000
_MOST_BYTES: Final = 1 << 17  # what is decoded at once; a record that is larger comes alone
SLICE_S: Final = 0.005
"""How long the loop serves nothing else while records are read."""
Done = Callable[[Reread | None], None]


class _Reader:
    def __init__(self, options: Options, places: Places, made: Mapping[str, Any], **settings: int) -> None:
        self._limit_s = options.connect_timeout_ms / 1000
        self._places = places
        self._frames = [TopicPartition(options.events_topic, number) for number in range(options.partitions)]
        self._consumer = AIOKafkaConsumer(
            **made,
            **settings,
            request_timeout_ms=options.connect_timeout_ms,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def stop(self) -> None:
        """End the consumer."""
        await end(self._consumer)


class Tail(_Reader):
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
        super().__init__(options, places, made, max_partition_fetch_bytes=4 << 20, max_poll_records=100_000)
        self._take = take
        self._events = options.events_topic
        self.next_offset = first
        """The offset of the record to be read next."""
        self._place = TopicPartition(options.leases_topic, 0)
        self._is_started = asyncio.Event()
        self._has_moved = asyncio.Event()

    async def run(self) -> None:
        """Read until this is cancelled.

        Raises:
            KafkaError: if the library cannot continue.
            TimeoutError: if it does not answer in time.
        """
        consumer, place = self._consumer, self._place
        await start(consumer, self._places, self._limit_s)
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

    async def wait_until_read(self) -> None:
        """Return when every record is read that is acknowledged now.

        Raises:
            KafkaError: if the library cannot say.
            TimeoutError: if it does not say in time.
        """
        async with asyncio.timeout(2 * self._limit_s):
            await self._is_started.wait()
            ends = await self._consumer.end_offsets([self._place])
        while self.next_offset < ends[self._place]:
            self._has_moved.clear()
            await self._has_moved.wait()

    async def ends(self) -> dict[int, int]:
        """Return the offset behind the last frame of each partition; nothing where no broker says so in time."""
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(self._limit_s):
                await self._is_started.wait()
                ends = await self._consumer.end_offsets(self._frames)
            return {place.partition: end for place, end in ends.items()}
        return {}


class CatchUp(_Reader):
    """Reads some records of any partition, for one request after the other.

    Args:
        options: of the fleet.
        places: where the brokers are.
        made: the options of the library.
    """

    def __init__(self, options: Options, places: Places, made: Mapping[str, Any]) -> None:
        settings = {"fetch_max_wait_ms": 10, "max_partition_fetch_bytes": _MOST_BYTES}  # what is asked for has arrived
        super().__init__(options, places, made, **settings)
        self._requests: asyncio.Queue[tuple[int, int, int, Done]] = asyncio.Queue()
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
                found = await self._read(self._frames[partition], offset, end)
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
        await start(consumer, self._places, self._limit_s)
        consumer.assign(self._frames)
        for place in self._frames:
            consumer.seek(place, 0)
        consumer.pause(*self._frames)
        self._is_started = True

    async def stop(self) -> None:
        """End the consumer; requests that wait have failed."""
        while not self._requests.empty():
            self._requests.get_nowait()[3](None)
        await super().stop()
