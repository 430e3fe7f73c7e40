"""One producer for a cluster, and the batches of records that go to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import attrs
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

from evframe import Event, Rejected, Unavailable
from evframe_kafka.address import KafkaSocket
from evframe_kafka.options import Options
from evframe_kafka.properties import with_tls

_CLOSE_S = 3.0
_GRACE_S = 5.0  # the library has the time limit; ours is for the case that it forgets

Record = tuple[int, bytes | None, bytes]  # the index of its event, key and value


@attrs.define
class Packed:
    """A batch of records for one partition, and the indexes of their events."""

    topic: str
    partition: int
    records: Any
    indexes: list[int]
    acknowledged: bool = False


class Cluster:
    """Starts its producer when it is needed; subscribers with the same properties share it."""

    def __init__(self, target: KafkaSocket, options: Options) -> None:
        self._target = target
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._partitioner = DefaultPartitioner()
        self._rotation = count()
        limit_ms = target.options.get("request_timeout_ms", options.delivery_timeout_ms)
        self._limit_s = limit_ms / 1000 + _GRACE_S
        self.users: set[str] = set()

    async def producer(self) -> AIOKafkaProducer:
        """Return the producer, started.

        Raises:
            Unavailable: if no broker can be reached.
        """
        async with self._starting:
            if self._producer is not None:
                return self._producer
            options = self._options
            settings = {
                "acks": "all",
                "request_timeout_ms": options.delivery_timeout_ms,
                "max_batch_size": options.batch_bytes,
                "enable_idempotence": options.enable_idempotence,
                **self._target.options,
            }
            try:
                producer = AIOKafkaProducer(bootstrap_servers=self._target.servers, **with_tls(settings))
            except (ValueError, OSError) as error:
                raise Rejected(f"bad_properties: {error}") from None
            try:
                async with asyncio.timeout(options.connect_timeout_ms / 1000):
                    await producer.start()
            except (KafkaError, OSError) as error:
                await self._close(producer)
                raise Unavailable("connect_timeout" if isinstance(error, TimeoutError) else "unreachable") from None
            except BaseException:  # the interface is left meanwhile
                await self._close(producer)
                raise
            self._producer = producer
            return producer

    async def ask(self) -> None:
        """Look whether a broker answers now.

        Raises:
            Unavailable: if none does.
        """
        producer = await self.producer()
        try:
            async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
                if not await producer.client.force_metadata_update():
                    raise Unavailable("unreachable")
        except (KafkaError, OSError):
            raise Unavailable("unreachable") from None

    async def pack(self, target: KafkaSocket, events: Sequence[Event]) -> tuple[list[Packed], list[int]]:
        """Return the records of *events* in batches, and the indexes of those that fit in none.

        Raises:
            Unavailable: if no broker can be reached, or none tells the partitions of the topic.
        """
        producer = await self.producer()
        partitions = await self._partitions(producer, target.topic)
        records: Iterable[tuple[int | None, Iterable[Record]]]
        if target.key is None:
            records = [(target.partition, ((index, None, event.payload) for index, event in enumerate(events)))]
        else:
            by_partition: dict[int | None, list[Record]] = {}
            for index, event in enumerate(events):
                key = self._key(target, event)
                by_partition.setdefault(self._partition(target, key, partitions), []).append(
                    (index, key, event.payload)
                )
            records = by_partition.items()
        headers = [(name, value.encode()) for name, value in target.headers.items()]
        too_large: list[int] = []
        packed = []
        for partition, own in records:
            for batch, indexes in _batches(producer, own, headers, too_large):
                # What belongs to no partition goes to each in turn, a batch of records at a time.
                place = partitions[next(self._rotation) % len(partitions)] if partition is None else partition
                packed.append(Packed(target.topic, place, batch, indexes))
        return packed, too_large

    async def _partitions(self, producer: AIOKafkaProducer, topic: str) -> list[int]:
        try:
            async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
                return sorted(await producer.partitions_for(topic))
        except UnknownTopicOrPartitionError:
            raise Unavailable("unknown_topic") from None
        except (KafkaError, OSError):
            raise Unavailable("no_metadata") from None

    async def send(self, packed: Packed) -> None:
        """Send one batch of records and wait until it is acknowledged.

        Raises:
            KafkaError: if it is not, within the time limit.
            Unavailable: if the library says nothing in time.
            AssertionError: if the topic has no such partition.
        """
        producer = await self.producer()
        try:
            async with asyncio.timeout(self._limit_s):
                await (await producer.send_batch(packed.records, packed.topic, partition=packed.partition))
        except TimeoutError:
            if self._producer is producer:
                await self.close()
            raise Unavailable("delivery_timeout") from None

    @staticmethod
    def _key(target: KafkaSocket, event: Event) -> bytes | None:
        value = None if target.key is None else event.get(target.key)
        if value is None:
            return None
        return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")

    def _partition(self, target: KafkaSocket, key: bytes | None, partitions: list[int]) -> int | None:
        if target.partition is not None or key is None:
            return target.partition
        return int(self._partitioner(key, partitions, partitions))

    async def close(self) -> None:
        """End the producer within its bound."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._close(producer)

    @staticmethod
    async def _close(producer: AIOKafkaProducer) -> None:
        """End a producer without sending what it still has: its events have come back, or are counted as lost.

        `stop` alone would send it, and wait for brokers that say nothing.
        """
        sender = producer._sender  # noqa: SLF001
        producer._message_accumulator.fail_all(KafkaConnectionError("given up"))  # noqa: SLF001
        for task in asyncio.all_tasks():
            if _runs_in(task, sender):
                task.cancel()
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await producer.client.close()
                await producer.stop()


def _runs_in(task: asyncio.Task[Any], instance: object) -> bool:
    """Return whether the coroutine of *task* is a method of *instance*."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame is not None and frame.f_locals.get("self") is instance


def _batches(
    producer: AIOKafkaProducer,
    records: Iterable[Record],
    headers: list[tuple[str, bytes]],
    too_large: list[int],
) -> Iterable[tuple[Any, list[int]]]:
    now = int(time.time() * 1000)
    batch = producer.create_batch()
    append = batch.append
    indexes: list[int] = []
    for index, key, value in records:
        if append(key=key, value=value, timestamp=now, headers=headers) is None:
            if indexes:
                yield batch, indexes
            batch, indexes = producer.create_batch(), []
            append = batch.append
            if append(key=key, value=value, timestamp=now, headers=headers) is None:
                too_large.append(index)
                batch = producer.create_batch()
                append = batch.append
                continue
        indexes.append(index)
    if indexes:
        yield batch, indexes
