"""Records in, events out, and whether each record is done, raised again or a dead letter."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
from evframe_ingest import LARGE_BYTES, About, Prepared, QueueIntake, fate_of

from evframe import Unavailable
from evframe.plugin import LogLimiter
from evframe_kafka_consumer.counts import Counts
from evframe_kafka_consumer.dead_letters import DeadLetters
from evframe_kafka_consumer.options import ConnectionOptions, OnFailure
from evframe_kafka_consumer.partition import Partition

log = logging.getLogger("evframe.kafka-consumer")
_OF_THE_TOPIC: Final = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError, SaslAuthenticationFailed)


def is_large(record: Any) -> bool:
    """Return whether a record is read beside the loop."""
    return record.value is not None and len(record.value) > LARGE_BYTES


def _more(record: Any) -> dict[str, str]:
    """Return the parameters of an event that a record does not name."""
    more = {"topic": record.topic}
    if record.key is not None:
        more["key"] = record.key.decode("utf-8", "surrogateescape")
    return more


def _headers(record: Any) -> dict[str, bytes] | None:
    """Return the headers of a record; None for none."""
    return {name: value or b"" for name, value in record.headers} if record.headers else None


def _about(headers: Mapping[str, bytes] | None) -> About | None:
    """Return what a record has beside its value."""
    kind = None if headers is None else headers.get("content-type")
    return About.of(None if kind is None else kind.decode("ascii", "replace"), headers)


class Records:
    """Raises the events of records, and settles each record when it is done.

    Args:
        options: of the connection.
        intake: raises the events.
        counts: are kept up to date.
        connection: returns the options of the library, with which dead letters are sent.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        intake: QueueIntake,
        counts: Counts,
        connection: Callable[[], Awaitable[dict[str, Any]]],
    ) -> None:
        self._options = options
        self._intake = intake
        self._connection = connection
        self._dead_letters = DeadLetters(options)
        self._tasks: set[asyncio.Task[None]] = set()
        self._limiter = LogLimiter()
        self.counts = counts
        self.settled = asyncio.Event()
        """Set when a record is done, or an outcome is known."""

    async def prepare(self, record: Any) -> Prepared:
        """Read a large record beside the loop; those after it wait."""
        headers = _headers(record)
        with self._intake.within(headers) or nullcontext():
            return await self._intake.prepare(record.value, _more(record), _about(headers))

    def take(self, partition: Partition, record: Any, prepared: Prepared | None = None) -> None:
        """Raise the event of a record that has come."""
        self.counts.received += 1
        partition.add(record.offset)
        self._raise(partition, record, prepared)

    def _raise(self, partition: Partition, record: Any, prepared: Prepared | None) -> None:
        headers = _headers(record)
        within = self._intake.within(headers)
        if within is None:
            self._raise_event(partition, record, prepared, headers)
        else:
            with within:
                self._raise_event(partition, record, prepared, headers)

    def _raise_event(
        self, partition: Partition, record: Any, prepared: Prepared | None, headers: Mapping[str, bytes] | None
    ) -> None:
        about = _about(headers)
        body = b"" if record.value is None else record.value
        more = _more(record)
        if self._options.ack == "at_once":
            if self._intake.take(body, None, more, prepared, about):
                self._settle(partition, record)
            else:
                self._handle(self._options.on_refused, partition, record, "refused")
            return
        place = TopicPartition(record.topic, record.partition)
        self.counts.waiting[place] += 1
        done = partial(self._record_outcomes, place, partition, record)
        if not self._intake.take(body, done, more, prepared, about):
            self.counts.waiting[place] -= 1
            self._handle(self._options.on_refused, partition, record, "refused")

    def _record_outcomes(
        self, place: TopicPartition, partition: Partition, record: Any, reasons: Sequence[str | None]
    ) -> None:
        """Take the outcome of the event of a record."""
        self.counts.waiting[place] -= 1
        self.settled.set()
        fate = fate_of(reasons)
        if fate == "delivered":
            self._settle(partition, record)
        elif fate == "nobody":
            self._handle(self._options.on_nobody, partition, record, "nobody")
        elif fate == "failed":
            reason = next(reason for reason in reasons if reason is not None)
            self._handle(self._options.on_failure, partition, record, reason)

    def _handle(self, what: OnFailure, partition: Partition, record: Any, reason: str) -> None:
        if what == "commit":
            self._settle(partition, record)
        elif what == "retry":
            asyncio.get_running_loop().call_later(self._options.retry_delay_ms / 1000, self._retry, partition, record)
        else:
            self._spawn(self._bury(partition, record, reason))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _settle(self, partition: Partition, record: Any) -> None:
        partition.settle(record.offset)
        self.settled.set()

    def _retry(self, partition: Partition, record: Any) -> None:
        if not partition.lost:
            self.counts.retried += 1
            if is_large(record):
                self._spawn(self._raise_large(partition, record))
            else:
                self._raise(partition, record, None)

    async def _raise_large(self, partition: Partition, record: Any) -> None:
        prepared = await self.prepare(record)
        if not partition.lost:
            self._raise(partition, record, prepared)

    async def _bury(self, partition: Partition, record: Any, reason: str) -> None:
        """Send a record to the dead letters, however often it takes; one that they refuse is counted and logged."""
        while not partition.lost:
            try:
                await self._dead_letters.send(record, reason, await self._connection())
                self.counts.dead_letters += 1
            except Exception as error:  # noqa: BLE001 one record must not hold up its partition
                if _may_pass(error):
                    await asyncio.sleep(self._options.retry_delay_ms / 1000)
                    continue
                self._count(record, error)
            self._settle(partition, record)
            return

    def _count(self, record: Any, error: Exception) -> None:
        problem = type(error).__name__
        self.counts.refused_dead_letters[problem] += 1
        repeated = self._limiter.due(problem)
        if repeated is not None:
            extra = {"source": self._options.name, "topic": record.topic, "partition": record.partition}
            more = {"offset": record.offset, "problem": problem, "repeated": repeated}
            log.error("a record is lost: the dead letters do not take it", extra=extra | more)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await self._dead_letters.close()


def _may_pass(error: Exception) -> bool:
    """Return whether the same record may be taken later."""
    if isinstance(error, KafkaError):
        return bool(error.retriable) or isinstance(error, _OF_THE_TOPIC)
    return isinstance(error, OSError | Unavailable | ValueError)
