"""Connections of aio-pika, over streams that are open already, whose channels publish batches."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, UnderlayConnection
from aiormq.connection import TransportFactory
from yarl import URL

from evframe.plugin import HostAddress
from evframe_rabbitmq.channel import BatchChannel
from evframe_rabbitmq.confirmations import ConfirmingProtocol

_CLOSE_S: Final = 2.0
_TLS_END_S: Final = 1.0  # how long a peer may take to end TLS: the library waits for it after each failed login
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter, ConfirmingProtocol]


class NoChannelLeft(Exception):  # noqa: N818 a limit of the broker, not a mistake
    """The connection has as many channels as the broker allows."""


class _Opened(TransportFactory):
    """Gives the library an open connection: the library would resolve names on the threads of the loop, unbounded."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:  # noqa: ARG002 the library's
        return self._streams[:2]


class _Protocol(aiormq.Connection):
    """Has channels that publish batches; aio-pika names no class for them."""

    FRAME_BUFFER_SIZE = 0
    """No bound: more than ten frames in one turn of the loop would be an error; messages have another bound."""

    confirmations: ConfirmingProtocol

    async def channel(self, channel_number: int | None = None, *_: Any, **__: Any) -> BatchChannel:
        """Return a new channel."""
        assert channel_number is not None
        channel = BatchChannel(self, channel_number, self.confirmations.of_channel(channel_number))
        self.channels[channel_number] = channel
        await channel.open()
        return channel


class _Underlay(UnderlayConnection):
    @classmethod
    def make_connection(cls, url: URL, *_: Any, **kwargs: Any) -> Coroutine[Any, Any, aiormq.abc.AbstractConnection]:
        # No coroutine of ours, which a traceback would keep.
        vhost, confirmations = kwargs.pop("vhost"), kwargs.pop("confirmations")
        connection = _Protocol(url, **kwargs)
        connection.confirmations = confirmations
        connection.vhost = vhost  # as it is: in a path, `..` and `%2F` would be another one
        return connection.__aenter__()


class BrokerConnection(aio_pika.Connection):
    """A connection of aio-pika over *streams*; it never connects again: the core does."""

    def __init__(self, *args: Any, streams: Streams, vhost: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kwargs |= {
            "transport_factory": _Opened(streams),
            "vhost": vhost,
            "confirmations": streams[2],
        }
        self.protocol: Any = None
        """The connection beneath, once it was made."""
        self._opening: set[int] = set()  # the numbers of channels that the library does not list yet

    async def connect(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 the library's
        """Log in."""
        try:
            self.transport = await _Underlay.connect(self.url, self._closed_by, timeout=timeout, **self.kwargs)
            self.protocol = self.transport.connection
            await self._on_connected()
        except BaseException:
            await self.close()  # else the collector would start a task that does it
            raise

    async def _closed_by(self, closing: asyncio.Future[Any]) -> None:
        """Have the error in *closing* without its traceback, which would keep the frames that it went through.

        From Python 3.12 on a future keeps the traceback beside its error until the error is taken.
        """
        try:
            closing.result()
        except BaseException as error:  # noqa: BLE001 whatever has ended it
            error.__traceback__ = None
        await self._on_connection_close(closing)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed or lost; the library's own knows only the first."""
        return super().is_closed or (self.protocol is not None and self.protocol.is_closed)

    async def open_channel(self) -> AbstractChannel:
        """Return a new channel with publisher confirms; `get_underlay_channel` gives its `BatchChannel`.

        Raises:
            NoChannelLeft: if the broker allows no more.
        """
        # The library would take the number behind the highest, whatever the broker allows.
        most = self.protocol.connection_tune.channel_max or 65535
        taken = self.protocol.channels.keys() | self._opening
        number = next((number for number in range(1, most + 1) if number not in taken), None)
        if number is None:
            raise NoChannelLeft
        self._opening.add(number)
        try:
            channel = self.channel(channel_number=number)
            await channel.initialize()
        finally:
            self._opening.discard(number)
        return channel


async def open_streams(
    found: Sequence[HostAddress], limit_s: float, context: ssl.SSLContext | None, host: str
) -> Streams:
    """Return a connection to the first of the addresses that accepts one; each has its part of the time."""
    tls: dict[str, Any] = {}
    if context is not None:
        tls = {"ssl": context, "server_hostname": host, "ssl_shutdown_timeout": _TLS_END_S}
    for address in found[:-1]:
        with suppress(OSError):
            async with asyncio.timeout(limit_s / len(found)):
                return await _open(address, tls)
    return await _open(found[-1], tls)


async def _open(address: HostAddress, tls: Mapping[str, Any]) -> Streams:
    # As `asyncio.open_connection` does it, but with another protocol.
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = ConfirmingProtocol(reader)
    transport, _ = await loop.create_connection(lambda: protocol, address.ip, address.sockaddr[1], **tls)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop), protocol


async def log_in(url: URL, vhost: str, streams: Streams) -> BrokerConnection:
    """Return the connection of aio-pika over *streams*; the library itself sets no bound to the time."""
    connection_class = cast(type[BrokerConnection], partial(BrokerConnection, streams=streams, vhost=vhost))
    return await aio_pika.connect(url, connection_class=connection_class)


async def close(connection: BrokerConnection, channels: Iterable[AbstractChannel]) -> None:
    """Close a connection and its channels within a bound."""
    await within(_close(connection, channels))


async def _close(connection: BrokerConnection, channels: Iterable[AbstractChannel]) -> None:
    with suppress(Exception):
        for channel in channels:
            await channel.close()
        await connection.close()


async def within(work: Awaitable[Any]) -> None:
    """Wait until *work* ends, within a bound; the library may end it with a cancellation."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        await asyncio.wait((task,), timeout=_CLOSE_S)
    finally:
        task.cancel()
    await asyncio.wait((task,), timeout=_CLOSE_S)  # the library does more before it takes the cancellation


def cut(connection: BrokerConnection) -> None:
    """End a connection at once: to close it as AMQP does waits for the peer, and leaves it open if that is silent."""
    for task in (connection.protocol._reader_task, connection.protocol._writer_task):  # noqa: SLF001
        task.cancel()
