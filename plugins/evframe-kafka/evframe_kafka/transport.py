"""The plugin: batches of events to batches of records, acknowledgements to outcomes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any, Final

from aiokafka import errors

from evframe import Batch, Rejected, Socket, Unavailable, hookimpl
from evframe_kafka.address import KafkaSocket, parse
from evframe_kafka.cluster import Cluster, Sent
from evframe_kafka.options import Options as KafkaOptions

_REFUSALS: Final = {
    errors.MessageSizeTooLargeError: "too_large",
    errors.RecordListTooLargeError: "too_large",
    errors.TopicAuthorizationFailedError: "access_refused",
    errors.InvalidTopicError: "invalid_topic",
    errors.InvalidMessageError: "invalid_message",
}
_GRACE_S: Final = 5.0


class KafkaTransport:
    """The plugin object."""

    schemes = ("kafka",)
    batch_events = 8192
    Options = KafkaOptions

    def __init__(self, options: KafkaOptions | None = None) -> None:
        self._options = KafkaOptions() if options is None else options
        self.in_flight = self._options.max_in_flight
        self._clusters: dict[tuple[Any, ...], Cluster] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._failed: Counter[str] = Counter()  # how often a batch of a subscriber has come back
        self._closing: set[asyncio.Task[None]] = set()

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``kafka:`` sockets."""
        return parse(rest) if scheme == "kafka" else None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one record per event."""
        return self._deliver(socket, batch) if isinstance(socket, KafkaSocket) else None

    async def _deliver(self, target: KafkaSocket, batch: Batch) -> None:
        cluster = self._clusters.get(target.cluster)
        if cluster is None:
            cluster = self._clusters[target.cluster] = Cluster(target, self._options)
        cluster.users.add(target.canonical)
        if not batch.events:
            await cluster.ask()
            return
        failed = self._failed[target.canonical]
        # One after the other until they are queued, so that batches keep their order.
        async with self._turns.setdefault(target.canonical, asyncio.Lock()):
            if self._failed[target.canonical] != failed:
                raise Unavailable("behind_another")  # what went before has to be tried again first
            try:
                sent, too_large = await self._queue(cluster, target, batch)
            except Unavailable:
                self._failed[target.canonical] += 1
                raise
        for index in too_large:
            batch.fail(index, "too_large")
        problem = await self._acknowledged(target, batch, sent)
        if problem is not None:
            self._failed[target.canonical] += 1
            raise Unavailable(problem)

    @staticmethod
    async def _queue(cluster: Cluster, target: KafkaSocket, batch: Batch) -> tuple[list[Sent], list[int]]:
        try:
            return await cluster.send(target, batch.events)
        except errors.KafkaError as error:
            raise Unavailable(_reason(error)) from None
        except AssertionError:
            raise Rejected("unknown_partition") from None

    async def _acknowledged(self, target: KafkaSocket, batch: Batch, sent: list[Sent]) -> str | None:
        """Wait for every batch of records; return why some have to be sent again."""
        limit_ms = target.options.get("request_timeout_ms", self._options.delivery_timeout_ms)
        problem = None
        # The library has the limit; ours is for the case that it forgets.
        await asyncio.wait([future for future, _ in sent] or [_nothing()], timeout=limit_ms / 1000 + _GRACE_S)
        if all(future.done() and not future.cancelled() and future.exception() is None for future, _ in sent):
            return None  # whatever has not failed is delivered
        for future, indexes in sent:
            error = future.exception() if future.done() and not future.cancelled() else errors.KafkaTimeoutError()
            refusal = _REFUSALS.get(type(error)) if error is not None else None
            for index in indexes:
                if error is None:
                    batch.confirm(index)
                elif refusal is not None:
                    batch.fail(index, refusal)
            if error is not None and refusal is None:
                problem = _reason(error)
        return problem

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """End the producer with the last of its subscribers."""
        if not isinstance(socket, KafkaSocket):
            return
        self._turns.pop(socket.canonical, None)
        self._failed.pop(socket.canonical, None)
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


def _nothing() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


def _reason(error: BaseException) -> str:
    if isinstance(error, errors.KafkaTimeoutError | errors.RequestTimedOutError):
        return "delivery_timeout"
    if isinstance(error, errors.UnknownTopicOrPartitionError):
        return "unknown_topic"
    return "unreachable" if isinstance(error, errors.KafkaConnectionError) else "broker_error"
