"""The topic of records that could not be delivered."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer

from evframe_kafka_consumer.closing import end
from evframe_kafka_consumer.options import ConnectionOptions
from evframe_kafka_consumer.properties import for_a_producer


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
            KafkaError: if they will not have it.
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
            await producer.send_and_wait(self._options.dead_letter_topic, record.value, key=record.key, headers=headers)

    async def _started(self, made: dict[str, Any]) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                limit_ms = self._options.connect_timeout_ms
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._options.servers,
                    acks="all",
                    request_timeout_ms=limit_ms,
                    **for_a_producer(made),
                )
                try:
                    await producer.start()
                except BaseException:
                    await end(producer, producer.client)
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        """End the producer within its bound."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await end(producer, producer.client)
