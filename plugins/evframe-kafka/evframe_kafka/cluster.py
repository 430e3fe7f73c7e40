"""One producer for a cluster, and the batches of records that go to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

from evframe import Event, Rejected, Unavailable
from evframe_kafka.address import KafkaSocket
from evframe_kafka.options import Options
from evframe_kafka.properties import with_tls

_CLOSE_S = 3.0

Record = tuple[int, bytes | None, bytes]  # the index of its event, key and value
Sent = tuple[asyncio.Future[Any], list[int]]


class Cluster:
    """Starts its producer when it is needed; subscribers with the same properties share it."""

    def __init__(self, target: KafkaSocket, options: Options) -> None:
        self._target = target
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._partitioner = DefaultPartitioner()
        self._rotation = count()
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

    async def partitions(self, topic: str) -> list[int]:
        """Return the partitions of *topic*.

        Raises:
            Unavailable: if the brokers do not tell.
        """
        producer = await self.producer()
        try:
            async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
                return sorted(await producer.partitions_for(topic))
        except UnknownTopicOrPartitionError:
            raise Unavailable("unknown_topic") from None
        except (KafkaError, OSError):
            raise Unavailable("no_metadata") from None

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

    async def send(self, target: KafkaSocket, events: Sequence[Event]) -> tuple[list[Sent], list[int]]:
        """Queue *events* as batches of records; return these with their indexes, and what is too large."""
        producer = await self.producer()
        partitions = await self.partitions(target.topic)
        turn = partitions[next(self._rotation) % len(partitions)]
        records: Iterable[tuple[int, Iterable[Record]]]
        if target.key is None:
            place = turn if target.partition is None else target.partition
            records = [(place, ((index, None, event.payload) for index, event in enumerate(events)))]
        else:
            by_partition: dict[int, list[Record]] = {}
            for index, event in enumerate(events):
                key = self._key(target, event)
                by_partition.setdefault(self._partition(target, key, partitions, turn), []).append(
                    (index, key, event.payload)
                )
            records = by_partition.items()
        sent: list[Sent] = []
        too_large: list[int] = []
        headers = [(name, value.encode()) for name, value in target.headers.items()]
        for partition, own in records:
            for batch, indexes in _batches(producer, own, headers, too_large):
                sent.append((await producer.send_batch(batch, target.topic, partition=partition), indexes))
        return sent, too_large

    @staticmethod
    def _key(target: KafkaSocket, event: Event) -> bytes | None:
        value = None if target.key is None else event.get(target.key)
        if value is None:
            return None
        return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")

    def _partition(self, target: KafkaSocket, key: bytes | None, partitions: list[int], turn: int) -> int:
        if target.partition is not None:
            return target.partition
        return turn if key is None else int(self._partitioner(key, partitions, partitions))

    async def close(self) -> None:
        """End the producer within its bound."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._close(producer)

    @staticmethod
    async def _close(producer: AIOKafkaProducer) -> None:
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await producer.stop()


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
