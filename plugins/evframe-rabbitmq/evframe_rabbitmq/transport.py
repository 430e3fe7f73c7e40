"""The plugin: batches to channels, confirmations to outcomes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any, Final

import aiormq

from evframe import Batch, Rejected, Socket, Unavailable, hookimpl
from evframe_rabbitmq.address import RabbitSocket, parse
from evframe_rabbitmq.broker import Broker, reason_of
from evframe_rabbitmq.channel import Publication
from evframe_rabbitmq.options import Options as RabbitmqOptions

_REFUSALS: Final = {
    aiormq.exceptions.ChannelNotFoundEntity: "not_found",
    aiormq.exceptions.ChannelAccessRefused: "access_refused",
    aiormq.exceptions.ChannelPreconditionFailed: "precondition_failed",
}


class RabbitmqTransport:
    """The plugin object."""

    schemes = ("rabbitmq",)
    Options = RabbitmqOptions

    def __init__(self, options: RabbitmqOptions | None = None) -> None:
        self._options = RabbitmqOptions() if options is None else options
        self.in_flight = self._options.max_in_flight
        self._brokers: dict[tuple[Any, ...], Broker] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._under_way: Counter[str] = Counter()  # batches of each subscriber without a confirmation
        self._failed: Counter[str] = Counter()  # how often a batch of a subscriber has come back
        self._releases: set[asyncio.Task[None]] = set()

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``rabbitmq:`` sockets."""
        if scheme != "rabbitmq":
            return None
        socket = parse(rest)
        if socket.tls and not self._options.use_tls:
            raise ValueError("expected the option use_tls for a socket with tls")
        return socket

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Publish one message per event."""
        return self._deliver(socket, batch) if isinstance(socket, RabbitSocket) else None

    async def _deliver(self, target: RabbitSocket, batch: Batch) -> None:
        broker = self._brokers.get(target.broker)
        if broker is None:
            broker = self._brokers[target.broker] = Broker(target, self._options)
        failed = self._failed[target.canonical]
        # One after the other up to the write, so that batches keep their order.
        async with self._turns.setdefault(target.canonical, asyncio.Lock()):
            if self._failed[target.canonical] != failed:
                raise Unavailable("behind_another")  # what went before has to be tried again first
            channel = broker.open_channel(target.canonical)
            if channel is None:
                if self._under_way[target.canonical]:
                    raise Unavailable("closed")  # what went before has to be tried again first
                channel = await broker.channel(target.canonical)
            if not batch.events:
                return
            publication = channel.publish(target, [event.payload for event in batch.events])
            self._under_way[target.canonical] += 1
        try:
            await self._confirmed(broker, batch, publication)
        except Unavailable:
            self._failed[target.canonical] += 1
            raise
        finally:
            self._under_way[target.canonical] -= 1

    async def _confirmed(self, broker: Broker, batch: Batch, publication: Publication) -> None:
        """Wait until the broker has spoken about every message."""
        try:
            async with asyncio.timeout(self._options.timeout_ms / 1000):
                await asyncio.shield(publication.done)
        except TimeoutError:
            broker.abort()
            _record(batch, publication)
            raise Unavailable("confirm_timeout") from None
        except (OSError, aiormq.exceptions.AMQPError) as error:
            _record(batch, publication)
            for kind, reason in _REFUSALS.items():
                if isinstance(error, kind):
                    raise Rejected(reason) from None
            raise Unavailable(reason_of(error)) from None
        _record(batch, publication)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's channel, and the connection with the last one."""
        if isinstance(socket, RabbitSocket):
            self._turns.pop(socket.canonical, None)
            self._under_way.pop(socket.canonical, None)
            self._failed.pop(socket.canonical, None)
            broker = self._brokers.get(socket.broker)
            if broker is not None:
                release = asyncio.get_running_loop().create_task(self._release(broker, socket))
                self._releases.add(release)
                release.add_done_callback(self._releases.discard)

    async def _release(self, broker: Broker, socket: RabbitSocket) -> None:
        await broker.release(socket.canonical)
        if not broker.is_used and self._brokers.get(socket.broker) is broker:
            del self._brokers[socket.broker]

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Wait for the ends of the connections."""
        return asyncio.gather(*self._releases)


def _record(batch: Batch, publication: Publication) -> None:
    """Copy the outcomes that are known."""
    for index in range(len(batch.events)):
        if index in publication.failures and index not in publication.open:
            batch.fail(index, publication.failures[index])
        elif index not in publication.open:
            batch.confirm(index)
