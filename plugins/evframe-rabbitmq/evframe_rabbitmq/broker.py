"""One connection to a broker, and a channel for each subscriber."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import attrs
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AuthenticationError, ProbableAuthenticationError
from evframe_wire.addresses import connection_problem
from yarl import URL

from evframe import Unavailable
from evframe.plugin import Age, HostAddress, Resolver, comes_from_outside, without_tracebacks
from evframe_rabbitmq.address import RabbitSocket
from evframe_rabbitmq.channel import BatchChannel
from evframe_rabbitmq.connection import BrokerConnection, NoChannelLeft, close, cut, log_in, open_streams, within
from evframe_rabbitmq.options import Options

_MOST_CHANNELS: Final = 1000
"""Of a connection in all its time: aio-pika keeps some 3 KB of each until the connection ends."""
_SIDE_BY_SIDE: Final = 50
"""How many channels are opened at a time, so that the time for each does not depend on how many there are."""


@attrs.frozen
class _Channel:
    outer: AbstractChannel
    batches: BatchChannel
    """What is beneath it."""


class Broker:
    """Connects when it is needed; subscribers with the same credentials share it."""

    def __init__(
        self, target: RabbitSocket, options: Options, context: ssl.SSLContext | None, resolver: Resolver
    ) -> None:
        self._target = target
        self._resolver = resolver
        self._hosts = deque(target.endpoints)
        """The next one to try is the first: the one that works stays there."""
        self._ip: str | None = None  # of the connection
        self._options = options
        self._context = context
        self._connection: BrokerConnection | None = None
        self._age = Age()
        self._connecting = asyncio.Lock()
        self._opening = asyncio.Semaphore(_SIDE_BY_SIDE)
        self._channels: dict[str, _Channel] = {}
        self._opened = 0
        self._ends: set[asyncio.Task[None]] = set()
        self.users: set[str] = set()
        """The subscribers that share the connection."""
        self.most_bytes: int | None = None
        """How large a message may be; None until the broker has refused one."""

    def open_channel(self, canonical: str) -> BatchChannel | None:
        """Return the channel of a subscriber, or None when it has to be opened."""
        channel = self._channels.get(canonical)
        if channel is None or not channel.batches.is_usable or self._connection is None or self._connection.is_closed:
            return None
        return channel.batches

    async def channel(self, canonical: str) -> BatchChannel:
        """Return a new channel for a subscriber.

        Raises:
            Unavailable: if the broker cannot be reached, or does not let us in.
        """
        connection: BrokerConnection | None = None
        try:
            async with self._connecting:
                connection = await self._connect()
                self._opened += 1
            async with self._opening, asyncio.timeout(self._options.login_timeout_ms / 1000):
                channel = await _open_channel(connection)
        except Unavailable:
            raise
        except NoChannelLeft:
            raise Unavailable("no_channel_left") from None
        except TimeoutError as error:
            self._give_up(connection)
            without_tracebacks(error)
            raise Unavailable("login_timeout") from None
        except BaseException as error:  # the library ends waits with whatever it has at hand, cancellations too
            self._give_up(connection)
            without_tracebacks(error)
            if isinstance(error, asyncio.CancelledError) and comes_from_outside(error):
                raise asyncio.CancelledError from None  # the library keeps the other one, and what it passes through
            if comes_from_outside(error):
                raise
            raise Unavailable(reason_of(error)) from None
        if connection is not self._connection:
            raise Unavailable("closed")  # another one has taken over meanwhile
        self._channels[canonical] = channel
        return channel.batches

    def _give_up(self, connection: BrokerConnection | None) -> None:
        """Cut the connection, unless another one has taken over from *connection*."""
        if connection is None or connection is self._connection:
            self.abort()

    async def _connect(self) -> BrokerConnection:
        if self._opened >= max(_MOST_CHANNELS, 2 * len(self.users)):
            self.retire()
        if self._connection is not None and not self._connection.is_closed:
            return self._connection
        for left in reversed(range(len(self._hosts))):
            try:
                return await self._connect_to(*self._hosts[0])
            except BaseException as error:
                self._hosts.rotate(-1)
                if not left or not isinstance(error, Exception):
                    raise
                without_tracebacks(error)
        raise AssertionError  # a socket has a host

    async def _connect_to(self, host: str, port: int) -> BrokerConnection:
        found = await self._resolver.addresses(host, port)
        streams = None
        try:
            async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
                streams = await open_streams(found, self._options.connect_timeout_ms / 1000, self._context, host)
            async with asyncio.timeout(self._options.login_timeout_ms / 1000):
                connection = await log_in(self._url(host, port), self._target.vhost, streams)
        except BaseException:
            self._resolver.forget(host)
            if streams is not None:
                with suppress(AttributeError):  # of a connection with TLS that has ended already
                    streams[1].transport.abort()
            raise
        self._take()  # it has ended
        self._connection, self._opened, self.most_bytes = connection, 0, None
        self._age.begins(self._options.max_connection_age_s, self.retire)
        self._ip = streams[1].get_extra_info("peername")[0]
        return connection

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Use another connection from now on when the one at hand is to an address that *host* has no more."""
        if self._hosts[0][0] == host and all(address.ip != self._ip for address in addresses):
            self.retire()

    def _url(self, host: str, port: int) -> URL:
        target = self._target
        query = {"heartbeat": str(self._options.heartbeat_s), "name": self._options.connection_name}
        return URL.build(
            scheme="amqps" if target.tls else "amqp",
            user=target.user,
            password=target.password,
            host=host,
            port=port,
            query={**query, "auth": "external"} if target.external else query,
        )

    def _take(self) -> BrokerConnection | None:
        """Return the connection, which is not used from now on."""
        connection, self._connection = self._connection, None
        self._age.ends()
        return connection

    def abort(self) -> None:
        """Cut the connection: what was written and not confirmed is tried again on another one."""
        connection = self._take()
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.batches.lost(ConnectionResetError("aborted"))
        if connection is not None:
            cut(connection)

    def retire(self) -> None:
        """Use another connection from now on; this one ends when what was published on it has its outcomes."""
        connection = self._take()
        channels, self._channels = self._channels, {}
        if connection is not None:
            task = asyncio.get_running_loop().create_task(self._finish(connection, list(channels.values())))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def _finish(self, connection: BrokerConnection, channels: Sequence[_Channel]) -> None:
        under_way = [publication.done for channel in channels for publication in channel.batches.publications]
        try:
            if under_way:
                await asyncio.wait(under_way, timeout=self._options.timeout_ms / 1000)
            await close(connection, [channel.outer for channel in channels])
        finally:
            for channel in channels:
                channel.batches.lost(ConnectionResetError("retired"))
            cut(connection)

    async def release(self, canonical: str) -> None:
        """Close the channel of a subscriber, and with the last one the connection."""
        channel = self._channels.pop(canonical, None)
        self.users.discard(canonical)
        async with self._connecting:
            connection = None
            if not self.users:
                # A subscriber that comes back while this one ends gets another connection.
                connection = self._take()
        if connection is not None:
            try:
                await close(connection, [] if channel is None else [channel.outer])
            finally:  # the core does not wait for long when the interface is left
                cut(connection)
        elif channel is not None:
            await within(channel.outer.close())
        if not self.users and self._ends:
            await asyncio.wait(self._ends)


async def _open_channel(connection: BrokerConnection) -> _Channel:
    outer = await connection.open_channel()
    batches = await outer.get_underlay_channel()
    assert isinstance(batches, BatchChannel)
    outer.close_callbacks.add(batches.closed)
    outer.return_callbacks.add(batches.returned)
    return _Channel(outer, batches)


def reason_of(error: BaseException) -> str:
    """Return the word for what went wrong."""
    if isinstance(error, AuthenticationError | ProbableAuthenticationError):
        return "access_refused"
    if isinstance(error, OSError) and error.errno is not None:
        return connection_problem(error)
    return "closed"
