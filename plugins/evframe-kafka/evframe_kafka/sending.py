"""A batch of events on its way to the partitions, and the answers of the brokers."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Final

import attrs
from aiokafka import errors

from evframe import Batch, Unavailable
from evframe.plugin import Step, without_tracebacks
from evframe_kafka.cluster import Cluster
from evframe_kafka.contents import Contents
from evframe_kafka.metadata import UNKNOWN
from evframe_kafka.records import Packed

# What is wrong with a batch because of some of its records.
_OF_RECORDS: Final = {
    errors.MessageSizeTooLargeError: "too_large",
    errors.RecordListTooLargeError: "too_large",
    errors.CorruptRecordException: "invalid_message",
    errors.InvalidTimestampError: "invalid_message",
    errors.UnsupportedForMessageFormatError: "invalid_message",
    errors.PolicyViolationError: "invalid_message",
    errors.UnknownError: "invalid_message",  # such as a record without the key that a compacted topic wants
}
_NO_PARTITION: Final = "unknown_partition"
_ACCESS_REFUSED: Final = "access_refused"
_OF_THE_TOPIC: Final = {
    errors.TopicAuthorizationFailedError: _ACCESS_REFUSED,
    errors.InvalidTopicError: "invalid_topic",
}


@attrs.define
class Sending:
    """A batch of events on its way."""

    cluster: Cluster
    contents: Contents
    batch: Batch
    acknowledged: list[Packed] = attrs.field(factory=list)

    async def pack(self, topic: str, indexes: Sequence[int]) -> list[Packed]:
        """Return events as batches of records for *topic*; those that are too large fail.

        Raises:
            Unavailable: if no broker can be reached, or none names the partitions of the topic.
        """
        packed, too_large = await self.cluster.pack(self.contents, topic, indexes)
        self.fail(too_large, "too_large")
        return packed

    async def send(self, packed: Sequence[Packed], step: Step | None = None) -> None:
        """Send batches of records to all of their partitions at once.

        Args:
            packed: the batches.
            step: keeps the order of those for one partition; None where the caller does.

        Raises:
            Unavailable: if some have to be sent again; the events of the others are confirmed.
        """
        by_partition = defaultdict(list)
        for each in packed:
            by_partition[each.topic, each.partition].append(each)
        ways = (self._send(own, step) for own in by_partition.values())
        problem = next(filter(None, await asyncio.gather(*ways, return_exceptions=True)), None)
        try:
            if problem is not None:
                self.confirm()
                raise problem
        finally:
            del problem  # the traceback of the error has this frame, and would form a cycle

    async def _send(self, packed: list[Packed], step: Step | None) -> None:
        """Send batches of records to one partition; one that is refused is split, until single records are.

        The library would continue with what is queued behind a batch of records that has come to its time limit: the
        next one is queued when the one before is acknowledged. It would send them no sooner.
        """
        waiting = deque(packed)
        async with nullcontext() if step is None else step(f"partition {packed[0].partition}"):
            while waiting:
                each = waiting.popleft()
                refusal = await _refusal(self.cluster, each)
                is_of_records = refusal in _OF_RECORDS.values()
                if refusal is None:
                    self.acknowledged.append(each)
                elif is_of_records and (len(each.indexes) > 1 or self.contents.drop_carried(each.indexes[0])):
                    waiting.extendleft(reversed(await self.cluster.split(self.contents, each)))
                elif self._may_be_mended(refusal):
                    await self.cluster.refresh()
                    raise Unavailable(refusal)
                else:
                    self.fail(each.indexes, refusal)

    def _may_be_mended(self, refusal: str) -> bool:
        """Return whether a later attempt may be taken, and is to be made: for what every event of the socket meets."""
        return (
            self.batch.is_kept and not self.contents.target.names_topics and refusal in {_ACCESS_REFUSED, _NO_PARTITION}
        )

    def fail(self, indexes: Sequence[int], reason: str) -> None:
        """Count events as failed."""
        for index in indexes:
            self.batch.fail(index, reason)

    def confirm(self) -> None:
        """Count what is acknowledged as delivered, although the rest is sent again."""
        for each in self.acknowledged:
            for index in each.indexes:
                self.batch.confirm(index)


async def _refusal(cluster: Cluster, packed: Packed) -> str | None:
    """Send a batch of records; return why the brokers refuse it, or None when they have it.

    Raises:
        Unavailable: if it has to be sent again.
    """
    try:
        error = await cluster.send(packed)
    except AssertionError as missing:
        without_tracebacks(missing)
        return _NO_PARTITION
    if error is None:
        return None
    refusal = _OF_RECORDS.get(type(error)) or _OF_THE_TOPIC.get(type(error))
    if refusal is None:
        raise Unavailable(_reason(error))
    return refusal


def _reason(error: BaseException) -> str:
    if isinstance(error, errors.KafkaTimeoutError | errors.RequestTimedOutError):
        return "delivery_timeout"
    if isinstance(error, errors.UnknownTopicOrPartitionError):
        return UNKNOWN
    return "closed" if isinstance(error, errors.KafkaConnectionError) else "broker_error"
