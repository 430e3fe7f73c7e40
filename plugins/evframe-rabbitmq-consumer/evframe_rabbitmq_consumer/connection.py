"""Connections of aio-pika, over streams that are open already, whose channels hand each message on as it comes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast
from urllib.parse import unquote

import aio_pika
import aiormq
from aio_pika.abc import UnderlayConnection
from aiormq.connection import TransportFactory
from evframe_wire.tls import client_context
from yarl import URL

from evframe.plugin import HostAddress, Resolver
from evframe_rabbitmq_consumer.channel import ConnectTimeout, ConsumingChannel, Taker
from evframe_rabbitmq_consumer.options import ConnectionOptions

CLOSE_S: Final = 2.0
_TLS_END_S: Final = 1.0  # how long a peer may take to end TLS: the library waits for it after each failed login
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Opened(TransportFactory):
    """Gives the library an open connection: the library would make one without a limit, and log each attempt."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def create(self, url: URL, **_: Any) -> Streams:  # noqa: ARG002 the library's
        return self._streams


class _Protocol(aiormq.Connection):
    """Has channels that hand messages on; aio-pika names no class for them."""

    taker: Taker

    async def channel(self, *_: Any, **__: Any) -> ConsumingChannel:
        """Return a new channel."""
        channel = self.channels[1] = ConsumingChannel(self, 1, self.taker)
        await channel.open()
        return channel


class _Underlay(UnderlayConnection):
    @classmethod
    def make_connection(cls, url: URL, *_: Any, **kwargs: Any) -> Coroutine[Any, Any, aiormq.abc.AbstractConnection]:
        # No coroutine of ours, which a traceback would keep.
        taker = kwargs.pop("taker")
        connection = _Protocol(url, **kwargs)
        connection.taker = taker
        connection.vhost = unquote(url.raw_path[1:]) or "/"  # the library would decode `%2F` once more
        return connection.__aenter__()


class ConsumerConnection(aio_pika.Connection):
    """A connection of aio-pika over *streams*; it never connects again: the consumer does."""

    def __init__(self, *args: Any, streams: Streams, taker: Taker, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kwargs |= {"transport_factory": _Opened(streams), "taker": taker}
        self.protocol: Any = None
        """The connection beneath, once it was made."""

    async def connect(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 the library's
        """Log in."""
        try:
            self.transport = await _Underlay.connect(
                self.url, self._on_connection_close, timeout=timeout, **self.kwargs
            )
            self.protocol = self.transport.connection
            await self._on_connected()
        except BaseException:
            await self.close()  # else the collector would start a task that does it
            raise

    @property
    def is_closed(self) -> bool:
        """Whether it was closed or lost; the library's own knows only the first."""
        return super().is_closed or (self.protocol is not None and self.protocol.is_closed)


async def connect(options: ConnectionOptions, resolver: Resolver, taker: Taker) -> tuple[ConsumerConnection, str]:
    """Return a new connection, and the address that it is to.

    Raises:
        Exception: whatever the library or the system says; see `reason_of`.
    """
    uri = URL(options.uri).with_query(heartbeat=str(options.heartbeat_s), name=options.connection_name)
    if options.password_file is not None:
        with open(options.password_file, encoding="utf-8") as file:  # noqa: ASYNC230 a line
            uri = uri.with_user(uri.user or "guest").with_password(file.readline().rstrip("\r\n"))
    context = None
    if uri.scheme == "amqps":
        context = await asyncio.to_thread(client_context, options.ca_file, options.cert_file)
    host, port = options.endpoint
    found = await resolver.addresses(host, port)
    try:
        async with asyncio.timeout(options.connect_timeout_ms / 1000):
            streams = await _open(found, options.connect_timeout_ms / 1000 / len(found), context, host)
    except TimeoutError:
        resolver.forget(host)
        raise ConnectTimeout from None
    except OSError:
        resolver.forget(host)
        raise
    connection_class = cast(type[ConsumerConnection], partial(ConsumerConnection, streams=streams, taker=taker))
    try:
        connection = await aio_pika.connect(uri, connection_class=connection_class)  # which sets no bound to the time
    except BaseException:
        streams[1].close()
        raise
    return connection, streams[1].get_extra_info("peername")[0]


async def _open(
    found: Sequence[HostAddress], part_s: float, context: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to the first of the addresses that accepts one; each has its part of the time."""
    tls: dict[str, Any] = {}
    if context is not None:
        tls = {"ssl": context, "server_hostname": host, "ssl_shutdown_timeout": _TLS_END_S}
    for address in found[:-1]:
        with suppress(OSError):
            async with asyncio.timeout(part_s):
                return await asyncio.open_connection(address.ip, address.sockaddr[1], **tls)
    last = found[-1]
    return await asyncio.open_connection(last.ip, last.sockaddr[1], **tls)


async def consume(connection: ConsumerConnection, options: ConnectionOptions, prefetch: int) -> ConsumingChannel:
    """Return a new channel, on which the messages of the queue begin to come.

    Raises:
        Exception: whatever the library says; see `reason_of`.
    """
    channel = connection.channel(publisher_confirms=False)
    await channel.initialize()
    queue = await channel.declare_queue(options.queue, passive=not options.declare, durable=True)
    await channel.set_qos(prefetch_count=prefetch)
    await queue.consume(_unused, exclusive=options.exclusive)
    beneath = await channel.get_underlay_channel()
    assert isinstance(beneath, ConsumingChannel)
    return beneath


async def _unused(_: Any) -> None:
    """Stand in for the callback that the library would make a task of for each message."""


async def close(connection: ConsumerConnection) -> None:
    """Close a connection within its bound."""
    # The library may end this with a cancellation, which is not meant for the task that waits.
    end = asyncio.ensure_future(_end(connection))
    try:
        await asyncio.wait((end,), timeout=CLOSE_S)
        end.cancel()
        await asyncio.wait((end,), timeout=CLOSE_S)  # the library does more before it takes the cancellation
    finally:
        end.cancel()
        cut(connection)


async def _end(connection: ConsumerConnection) -> None:
    with suppress(Exception):
        for channel in list(connection.protocol.channels.values()):
            if channel is not None:
                await channel.close()  # its answer comes after the broker has read what was sent before
        await connection.close()


def cut(connection: ConsumerConnection) -> None:
    """End a connection at once: a close would wait for a peer that may be gone."""
    for name in ("_reader_task", "_writer_task"):
        task = getattr(connection.protocol, name, None)
        if task is not None:
            task.cancel()
