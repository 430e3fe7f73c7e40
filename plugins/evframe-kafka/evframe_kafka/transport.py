"""The plugin: batches of events to batches of records, acknowledgements to outcomes."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from typing import Any, Final

import attrs
from aiokafka import errors
from evframe_kafka_clients import secrets

from evframe import Batch, Socket, Unavailable, hookimpl
from evframe.context import PluginContext
from evframe.ordering import Ordering, Step
from evframe.subscriptions.resolving import Resolver
from evframe_kafka.address import KafkaSocket, parse
from evframe_kafka.cluster import Beyond, Cluster, settings_of
from evframe_kafka.options import Options as KafkaOptions
from evframe_kafka.producing import strip
from evframe_kafka.properties import check
from evframe_kafka.records import Packed

log = logging.getLogger("evframe.kafka")
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
_OF_THE_TOPIC: Final = {
    errors.TopicAuthorizationFailedError: "access_refused",
    errors.InvalidTopicError: "invalid_topic",
}


class KafkaTransport:
    """The plugin object."""

    schemes = ("kafka",)
    library_logs = ("aiokafka",)
    percent_safe = ",:[]"  # the brokers are not percent-encoded
    batch_events = 8192
    # The brokers take one batch of a partition after the other: what comes meanwhile goes in one piece.
    in_flight_batches = 4
    Options = KafkaOptions

    def __init__(self, options: KafkaOptions | None = None) -> None:
        self._options = KafkaOptions() if options is None else options
        self.in_flight = self._options.max_in_flight
        self._clusters: dict[tuple[Any, ...], Cluster] = {}
        self._orderings: defaultdict[str, Ordering] = defaultdict(Ordering)
        self._closing: set[asyncio.Task[None]] = set()
        self._resolver = Resolver()
        self._networks_beyond: Beyond = lambda _: None
        self._warned: set[str] = set()

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver and the policy of the interface, and have the library log no password."""
        self._resolver = context.resolver
        self._networks_beyond = context.networks_beyond
        secrets.hide()

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``kafka:`` sockets, and look whether their properties go together."""
        if scheme != "kafka":
            return None
        socket = parse(rest)
        check(settings_of(socket, self._options))
        self._warn(socket)
        return socket

    def _warn(self, socket: KafkaSocket) -> None:
        """Log properties without an effect, each of them once."""
        new = sorted(set(socket.without_effect) - self._warned)
        if new:
            self._warned.update(new)
            log.warning("properties have no effect", extra={"socket": socket.canonical, "properties": new})

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one record per event."""
        if not isinstance(socket, KafkaSocket):
            return None
        return self._deliver(socket, batch, self._orderings[socket.canonical].batch())

    async def _deliver(self, target: KafkaSocket, batch: Batch, way: AbstractContextManager[Step]) -> None:
        cluster = self._clusters.get(target.cluster)
        if cluster is None:
            cluster = self._clusters[target.cluster] = Cluster(
                target, self._options, self._resolver, self._networks_beyond
            )
        cluster.users.add(target.canonical)
        if not batch.events:
            await cluster.ask(target.topic)
            return
        with way as step:
            async with step("pack"):
                packed, too_large = await cluster.pack(target, batch.events)
            for index in too_large:
                batch.fail(index, "too_large")
            by_partition = defaultdict(list)
            for each in packed:
                by_partition[each.partition].append(each)
            sending = Sending(cluster, target, batch)
            partitions = (sending.send(step, own) for own in by_partition.values())
            problem = next(filter(None, await asyncio.gather(*partitions, return_exceptions=True)), None)
            if problem is not None:
                for each in sending.acknowledged:
                    for index in each.indexes:
                        batch.confirm(index)
                raise problem

    @hookimpl
    def addresses_changed(self, host: str) -> None:
        """Exchange the producers of clusters whose brokers to begin with have moved."""
        for cluster in self._clusters.values():
            cluster.moved(host)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """End the producer with the last of its subscribers."""
        if not isinstance(socket, KafkaSocket):
            return
        self._orderings.pop(socket.canonical, None)
        cluster = self._clusters.get(socket.cluster)
        if cluster is not None:
            cluster.users.discard(socket.canonical)
            if not cluster.users:
                del self._clusters[socket.cluster]
                closing = asyncio.get_running_loop().create_task(cluster.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Wait for the ends of the producers."""
        return asyncio.gather(*self._closing)


@attrs.define
class Sending:
    """A batch of events on its way to the partitions of a topic."""

    cluster: Cluster
    target: KafkaSocket
    batch: Batch
    acknowledged: list[Packed] = attrs.field(factory=list)

    async def send(self, step: Step, packed: list[Packed]) -> None:
        """Send batches of records to one partition; one that is refused is split, until single records are.

        The library would go on with what is queued behind a batch of records that has come to its time limit: the
        next one is queued when the one before is acknowledged. It would send them no sooner.
        """
        waiting = deque(packed)
        async with step(f"partition {packed[0].partition}"):
            while waiting:
                each = waiting.popleft()
                refusal = await _refusal(self.cluster, each)
                if refusal is None:
                    self.acknowledged.append(each)
                elif len(each.indexes) > 1 and refusal in _OF_RECORDS.values():
                    waiting.extendleft(reversed(await self.cluster.split(self.target, self.batch.events, each)))
                else:
                    for index in each.indexes:
                        self.batch.fail(index, refusal)


async def _refusal(cluster: Cluster, packed: Packed) -> str | None:
    """Send a batch of records; return why the brokers refuse it, or None when they have it.

    Raises:
        Unavailable: if it has to be sent again.
    """
    try:
        error = await cluster.send(packed)
    except AssertionError as missing:
        strip(missing)
        return "unknown_partition"
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
        return "unknown_topic"
    return "unreachable" if isinstance(error, errors.KafkaConnectionError) else "broker_error"
