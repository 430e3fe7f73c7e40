"""One connection to a broker, and a channel for each subscriber."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

import aiormq
from aiormq.connection import TransportFactory
from yarl import URL

from evframe import Unavailable
from evframe.calls import comes_from_outside
from evframe.sockets import connection_problem, without_brackets
from evframe.subscriptions.names import HostAddress
from evframe.subscriptions.resolving import Resolver
from evframe_rabbitmq.address import RabbitSocket
from evframe_rabbitmq.channel import BatchChannel, NoChannelLeft, open_channel
from evframe_rabbitmq.options import Options

_CLOSE_S = 2.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Made(TransportFactory):
    """Gives the library a connection that is there: it would look names up on the threads of the loop."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def create(self, url: URL, **_: Any) -> Streams:  # noqa: ARG002 the library's
        return self._streams


class _Connection(aiormq.Connection):
    FRAME_BUFFER_SIZE = 0
    """No bound: more than ten frames in one turn of the loop would be an error; messages have a bound of their own."""


class Broker:
    """Connects when it is needed; subscribers with the same credentials share it."""

    def __init__(
        self, target: RabbitSocket, options: Options, context: ssl.SSLContext | None, resolver: Resolver
    ) -> None:
        self._target = target
        self._resolver = resolver
        self._ip: str | None = None  # of the connection
        self._options = options
        self._context = context
        self._connection: Any = None
        self._connecting = asyncio.Lock()
        self._channels: dict[str, BatchChannel] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self.users: set[str] = set()
        """The subscribers that share the connection."""
        self.most_bytes: int | None = None
        """How large a message may be; None until the broker has refused one."""

    def open_channel(self, canonical: str) -> BatchChannel | None:
        """Return the channel of a subscriber, or None when it has to be opened."""
        channel = self._channels.get(canonical)
        if channel is None or not channel.is_usable or self._connection is None or self._connection.is_closed:
            return None
        return channel

    async def channel(self, canonical: str) -> BatchChannel:
        """Return a new channel for a subscriber.

        Raises:
            Unavailable: if the broker cannot be reached, or does not let us in.
        """
        try:
            async with self._connecting:
                connection = await self._connect()
                async with asyncio.timeout(self._options.login_timeout_ms / 1000):
                    channel = await open_channel(connection)
        except Unavailable:
            raise
        except NoChannelLeft:
            raise Unavailable("no_channel_left") from None
        except TimeoutError as error:
            self.abort()
            strip(error)
            raise Unavailable("login_timeout") from None
        except BaseException as error:  # the library ends waits with whatever it has at hand, cancellations too
            self.abort()
            strip(error)
            if isinstance(error, asyncio.CancelledError) and comes_from_outside(error):
                raise asyncio.CancelledError from None  # the library keeps the other one, and what it passes through
            if comes_from_outside(error):
                raise
            raise Unavailable(reason_of(error)) from None
        self._channels[canonical] = channel
        return channel

    async def _connect(self) -> Any:
        if self._connection is not None and not self._connection.is_closed:
            return self._connection
        ((host, port),) = self._target.endpoints
        found = await self._resolver.addresses(host, port)
        streams = None
        try:
            async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
                streams = await self._open(host, found)
            async with asyncio.timeout(self._options.login_timeout_ms / 1000):
                connection = _Connection(self._url(), transport_factory=_Made(streams))
                await connection.connect()
        except BaseException:
            self._resolver.forget(host)
            if streams is not None:
                with suppress(AttributeError):  # of a connection with TLS that has ended already
                    streams[1].transport.abort()
            raise
        self._connection, self.most_bytes = connection, None
        self._ip = streams[1].get_extra_info("peername")[0]
        return connection

    async def _open(self, host: str, found: Sequence[HostAddress]) -> Streams:
        """Return a connection to the first of the addresses that accepts one; each has its part of the time."""
        part_s = self._options.connect_timeout_ms / 1000 / len(found)
        name = host if self._context is not None else None
        for address in found[:-1]:
            with suppress(OSError):
                async with asyncio.timeout(part_s):
                    return await asyncio.open_connection(
                        address.ip, address.sockaddr[1], ssl=self._context, server_hostname=name
                    )
        last = found[-1]
        return await asyncio.open_connection(last.ip, last.sockaddr[1], ssl=self._context, server_hostname=name)

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Use another connection from now on when the one at hand is to an address that *host* has no more."""
        if self._target.endpoints[0][0] == host and all(address.ip != self._ip for address in addresses):
            self.retire()

    def _url(self) -> URL:
        target = self._target
        return URL.build(
            scheme="amqps" if target.tls else "amqp",
            user=target.user,
            password=target.password,
            host=without_brackets(target.host),
            port=target.port,
            path=f"/{target.vhost}",
            query={"heartbeat": str(self._options.heartbeat_s)},
        )

    def abort(self) -> None:
        """Cut the connection: what was written and not confirmed is tried again on another one."""
        connection, self._connection = self._connection, None
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.lost(ConnectionResetError("aborted"))
        if connection is not None:
            _cut(connection)

    def retire(self) -> None:
        """Use another connection from now on; this one ends when what was published on it has its outcomes."""
        connection, self._connection = self._connection, None
        channels, self._channels = self._channels, {}
        if connection is not None:
            task = asyncio.get_running_loop().create_task(self._finish(connection, list(channels.values())))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def _finish(self, connection: Any, channels: Sequence[BatchChannel]) -> None:
        under_way = [publication.done for channel in channels for publication in channel.publications]
        try:
            if under_way:
                await asyncio.wait(under_way, timeout=self._options.timeout_ms / 1000)
            await _within(_close(connection))
        finally:
            for channel in channels:
                channel.lost(ConnectionResetError("retired"))
            _cut(connection)

    async def release(self, canonical: str) -> None:
        """Close the channel of a subscriber, and with the last one the connection."""
        channel = self._channels.pop(canonical, None)
        self.users.discard(canonical)
        async with self._connecting:
            connection = None
            if not self.users:
                # A subscriber that comes back while this one ends gets a connection of its own.
                connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await _within(_close(connection))
            finally:  # the core does not wait for long when the interface is left
                _cut(connection)
        elif channel is not None:
            await _within(channel.close())
        if not self.users and self._ends:
            await asyncio.wait(self._ends)


async def _close(connection: Any) -> None:
    with suppress(Exception):
        for channel in list(connection.channels.values()):
            if channel is not None:
                await channel.close()
        await connection.close()


async def _within(work: Coroutine[Any, Any, Any]) -> None:
    """Wait until *work* ends, within a bound; the library may end it with a cancellation of its own."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        await asyncio.wait((task,), timeout=_CLOSE_S)
    finally:
        task.cancel()
    await asyncio.wait((task,), timeout=_CLOSE_S)  # the library does more before it takes the cancellation


def _cut(connection: Any) -> None:
    """End a connection at once: to close it as AMQP does waits for the peer, and leaves it open if that is silent."""
    for task in (connection._reader_task, connection._writer_task):  # noqa: SLF001
        task.cancel()


def strip(error: BaseException | None) -> None:
    """Drop the traceback of an error, and of what led to it.

    The library keeps its errors in cycles, and their tracebacks would keep frames of ours, with what these hold.
    """
    led = [error]  # errors may lead to each other
    while led:
        each = led.pop()
        if each is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            led += [each.__cause__, each.__context__]


def reason_of(error: BaseException) -> str:
    """Return the word for what went wrong."""
    if isinstance(error, aiormq.exceptions.AuthenticationError | aiormq.exceptions.ProbableAuthenticationError):
        return "access_refused"
    if isinstance(error, OSError) and error.errno is not None:
        return connection_problem(error)
    return "closed"
