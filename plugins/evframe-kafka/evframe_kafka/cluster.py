"""One producer for a cluster, and the batches of records that go to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError

from evframe import Event, Unavailable
from evframe_kafka.address import KafkaSocket
from evframe_kafka.options import Options
from evframe_kafka.properties import with_tls
from evframe_kafka.records import Packed, Packer

_CLOSE_S = 3.0
_GRACE_S = 5.0  # for the case that the library forgets its time limit
_RECORD_BYTES: Final = 1_048_576  # what the library and the brokers take unless they are told otherwise


def settings_of(target: KafkaSocket, options: Options) -> dict[str, Any]:
    """Return the settings of the producer: the properties of the socket go before the options."""
    settings = {
        "acks": "all",
        "request_timeout_ms": options.delivery_timeout_ms,
        "max_batch_size": options.batch_bytes,
        "max_request_size": _RECORD_BYTES,
        "enable_idempotence": options.enable_idempotence,
        **target.options,
    }
    settings["max_batch_size"] = min(settings["max_batch_size"], settings["max_request_size"])
    return settings


class Cluster:
    """Starts its producer when it is needed; subscribers with the same properties share it."""

    def __init__(self, target: KafkaSocket, options: Options) -> None:
        self._target = target
        self._options = options
        self._settings = settings_of(target, options)
        # The library has the time limit, unless it is idempotent; then ours alone holds.
        self._limit_s = self._settings["request_timeout_ms"] / 1000
        if not self._settings["enable_idempotence"]:
            self._limit_s += _GRACE_S
        self._producer: AIOKafkaProducer | None = None
        self._packer = Packer(self._settings["max_request_size"])
        self._starting = asyncio.Lock()
        self.users: set[str] = set()

    async def producer(self) -> AIOKafkaProducer:
        """Return the producer, started.

        Raises:
            Unavailable: if no broker can be reached.
        """
        async with self._starting:
            if self._producer is not None:
                return self._producer
            try:
                producer = AIOKafkaProducer(bootstrap_servers=self._target.servers, **with_tls(self._settings))
            except OSError:  # the files were there when the socket was subscribed
                raise Unavailable("no_certificates") from None
            try:
                async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
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
        """Return the records of *events* in batches, and the indexes of those that are too large.

        Raises:
            Unavailable: if no broker can be reached, or none tells the partitions of the topic.
        """
        producer = await self.producer()
        partitions = await self._partitions(producer, target.topic)
        return self._packer.pack(target, events, partitions, producer.create_batch)

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
