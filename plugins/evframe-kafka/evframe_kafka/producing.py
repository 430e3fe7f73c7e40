"""One producer of the library, from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import attrs
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from evframe_kafka_clients.places import Places

from evframe import Unavailable
from evframe.plugin import without_tracebacks
from evframe_kafka.records import Packed

_CLOSE_S: Final = 3.0


@attrs.define(eq=False)
class Producing:
    """A producer, and how many batches of records are under way with it.

    A producer that is retired takes no more, and ends when those have their acknowledgements.
    """

    producer: AIOKafkaProducer
    places: Places
    ended: Callable[[Producing], None]
    """Called when a retired producer has nothing under way."""
    under_way: int = 0
    is_retired: bool = False
    topics: frozenset[str] = frozenset()
    """Those that `learn` has had the producer know."""
    learned: int = 0
    """How many these were in all."""

    def knows(self, topic: str) -> bool:
        """Return whether the producer has learned *topic*, and knows its partitions."""
        return topic in self.topics and self.producer.client.cluster.partitions_for_topic(topic) is not None

    async def learn(self, topics: Iterable[str]) -> None:
        """Have the producer ask for *topics*, and forget all others."""
        before, self.topics = self.topics, frozenset(topics)
        self.learned += len(self.topics - before)
        await self.producer.client.set_topics(self.topics)

    async def send(self, packed: Packed, limit_s: float, check_s: float) -> KafkaError | None:
        """Send a batch of records, and wait until it is acknowledged; return the error with which brokers refuse it.

        Args:
            packed: the batch.
            limit_s: how long the brokers may take.
            check_s: how often to check meanwhile whether any broker can be reached.

        Raises:
            Unavailable: if no broker can be reached, or none acknowledges the batch in time.
            AssertionError: if the topic has no such partition.
        """
        self.under_way += 1
        try:
            async with asyncio.timeout(limit_s):
                acknowledged = await self.producer.send_batch(packed.records, packed.topic, partition=packed.partition)
                while not acknowledged.done():
                    await asyncio.wait((acknowledged,), timeout=check_s)
                    if not acknowledged.done() and not await self.reaches_a_broker():
                        raise Unavailable(await self.places.connection_problem() or "timeout")
            error = acknowledged.exception()  # raised, it would keep this frame, and that the future
            if error is None or isinstance(error, KafkaError):
                return error
            raise Unavailable("broker_error")
        except KafkaError as error:
            return without_tracebacks(error)
        except TimeoutError as error:
            without_tracebacks(error)
            raise Unavailable("delivery_timeout") from None
        finally:
            self.under_way -= 1
            if self.is_retired:
                self.retire()

    async def reaches_a_broker(self) -> bool:
        """Return whether one of the brokers that the producer knows answers."""
        client = self.producer.client
        try:
            if await client.force_metadata_update():
                return True
            await self.places.look_up(client)  # a name whose answer is old is not known to the library meanwhile
            return bool(await client.force_metadata_update())
        except (KafkaError, OSError) as error:
            without_tracebacks(error)
            return False

    def retire(self) -> None:
        """Take no more."""
        self.is_retired = True
        if not self.under_way:
            self.ended(self)

    async def close(self) -> None:
        """End the producer without sending what it still has: its events have come back, or are counted as lost.

        `stop` alone would send it, and wait for brokers that say nothing.
        """
        producer = self.producer
        producer._message_accumulator.fail_all(KafkaConnectionError("given up"))  # noqa: SLF001
        for task in filter(partial(_runs_in, instance=producer._sender), asyncio.all_tasks()):  # noqa: SLF001
            task.cancel()
        # The library may end these with a cancellation, which is not meant for this task.
        end = asyncio.ensure_future(_end(producer))
        try:
            await asyncio.wait((end,), timeout=_CLOSE_S)
        finally:
            end.cancel()


async def _end(producer: AIOKafkaProducer) -> None:
    with suppress(Exception):
        await producer.client.close()
        await producer.stop()


def _runs_in(task: asyncio.Task[Any], instance: object) -> bool:
    """Return whether the coroutine of *task* is a method of *instance*."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame is not None and frame.f_locals.get("self") is instance
