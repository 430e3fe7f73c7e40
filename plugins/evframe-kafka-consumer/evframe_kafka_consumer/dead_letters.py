"""The topic of records that could not be delivered."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from evframe_kafka_clients.closing import end
from evframe_kafka_clients.consuming import for_a_producer
from evframe_kafka_clients.starting import closing_connections

from evframe_kafka_consumer.options import ConnectionOptions

_ANY_SIZE: Final = 2**31 - 1  # how large a record may be is for the brokers to say


class DeadLetters:
    """Sends records to their topic as they are, with headers that say whence and why.

    Args:
        options: of the connection.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, record: Any, reason: str, made: dict[str, Any]) -> None:
        """Send one record, and wait until the brokers have it.

        Args:
            record: as it came.
            reason: why it could not be delivered.
            made: the options of the consumer, which say how to reach the brokers.

        Raises:
            KafkaError: if they refuse it alone.
            TimeoutError: if they do not answer in time.
        """
        headers = [
            *record.headers,
            ("evframe.reason", reason.encode()),
            ("evframe.topic", record.topic.encode()),
            ("evframe.partition", str(record.partition).encode()),
            ("evframe.offset", str(record.offset).encode()),
        ]
        async with asyncio.timeout(2 * self._options.connect_timeout_ms / 1000):
            producer = await self._started(made)
            topic = self._options.dead_letter_topic
            try:
                await producer.send_and_wait(topic, record.value, key=record.key, headers=headers)
            except KafkaError as error:
                if error.retriable:
                    raise
                await _send_alone(producer, topic, record, headers)  # another record of its batch may be the reason

    async def _started(self, made: dict[str, Any]) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                limit_ms = self._options.connect_timeout_ms
                producer = AIOKafkaProducer(
                    acks="all",
                    request_timeout_ms=limit_ms,
                    max_request_size=_ANY_SIZE,
                    **for_a_producer(made),
                )
                try:
                    with closing_connections():
                        await producer.start()
                except BaseException:
                    await end(producer)
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        """End the producer within its bound."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await end(producer)


async def _send_alone(
    producer: AIOKafkaProducer, topic: str | None, record: Any, headers: list[tuple[str, bytes]]
) -> None:
    partitions = sorted(await producer.partitions_for(topic))
    batch = producer.create_batch()
    batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
    await (await producer.send_batch(batch, topic, partition=DefaultPartitioner()(record.key, partitions, partitions)))
