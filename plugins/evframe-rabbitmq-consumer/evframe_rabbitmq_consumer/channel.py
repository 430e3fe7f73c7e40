"""A connection to a broker, and a channel that hands each message on as it comes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import aiormq
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.connection import TransportFactory
from pamqp.base import Frame
from yarl import URL

from evframe import Unavailable
from evframe.sockets import connection_problem
from evframe.subscriptions.names import HostAddress
from evframe.subscriptions.resolving import Resolver
from evframe_rabbitmq_consumer.options import ConnectionOptions

CLOSE_S: Final = 2.0
CANCELLED: Final = "cancelled"
MOVED: Final = "moved"
Take = Callable[[int, bool, bytes], None]
"""Takes a message: its delivery tag, whether it was delivered before, and its body."""


class ConsumingChannel(Channel):
    """Hands messages to *take* in their order, without a task for each.

    Args:
        connection: that it belongs to.
        number: its number.
        take: takes the messages.
    """

    def __init__(self, connection: Any, number: int, take: Take) -> None:
        super().__init__(connection, number, publisher_confirms=False)
        self._take = take
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when no more messages come, with the reason."""
        self.closing.add_done_callback(self._closed)
        self.on_consumer_cancel_callbacks.add(lambda _: self.end(CANCELLED))

    async def _on_deliver_frame(self, frame: Any) -> None:
        header: Any = await self._get_frame()
        message = await self._read_content(frame, header)
        self._take(frame.delivery_tag, frame.redelivered, message.body)

    def _closed(self, future: asyncio.Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        self.end("closed" if error is None else reason_of(error))

    def end(self, reason: str) -> None:
        """Have *ended* be done."""
        if not self.ended.done():
            self.ended.set_result(reason)

    async def send(self, frames: Sequence[Frame]) -> None:
        """Write *frames*, and wait until the kernel has them."""
        written = self.create_future()
        await self.write_queue.put(ChannelFrame.marshall(self.number, frames, drain_future=written))
        await written


class _Made(TransportFactory):
    """Gives the library a connection that is there: it would make one without a limit, and log each attempt."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._streams = streams

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:  # noqa: ARG002 the library's
        return self._streams


class ConnectTimeout(Exception):  # noqa: N818 a state of the peer, not a mistake
    """Raised when no connection was made in time."""


async def connect(options: ConnectionOptions, resolver: Resolver) -> tuple[aiormq.Connection, str]:
    """Return a new connection, and the address that it is to.

    Raises:
        Exception: whatever the library or the system says; see `reason_of`.
    """
    uri = URL(options.uri).with_query(heartbeat=str(options.heartbeat_s), name=f"evframe {options.name}")
    if options.password_file is not None:
        with open(options.password_file, encoding="utf-8") as file:  # noqa: ASYNC230 a line
            uri = uri.with_user(uri.user or "guest").with_password(file.readline().rstrip("\r\n"))
    context = None
    if uri.scheme == "amqps":
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.cert_file is not None:
            context.load_cert_chain(options.cert_file)
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
    connection = aiormq.Connection(uri, transport_factory=_Made(streams))
    try:
        await connection.connect()
    except BaseException:
        streams[1].close()
        raise
    return connection, streams[1].get_extra_info("peername")[0]


async def _open(
    found: Sequence[HostAddress], part_s: float, context: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to the first of the addresses that accepts one; each has its part of the time."""
    name = None if context is None else host
    for address in found[:-1]:
        with suppress(OSError):
            async with asyncio.timeout(part_s):
                return await asyncio.open_connection(address.ip, address.sockaddr[1], ssl=context, server_hostname=name)
    last = found[-1]
    return await asyncio.open_connection(last.ip, last.sockaddr[1], ssl=context, server_hostname=name)


async def consume(
    connection: aiormq.Connection, options: ConnectionOptions, prefetch: int, take: Take
) -> ConsumingChannel:
    """Return a new channel, on which the messages of the queue begin to come.

    Raises:
        Exception: whatever the library says; see `reason_of`.
    """
    channel = ConsumingChannel(connection, 1, take)
    connection.channels[1] = channel
    await channel.open()
    await channel.queue_declare(options.queue, passive=not options.declare, durable=True)
    await channel.basic_qos(prefetch_count=prefetch)
    await channel.basic_consume(options.queue, _unused, exclusive=options.exclusive)
    return channel


async def _unused(_: Any) -> None:
    """Stand in for the callback that the library would make a task of for each message."""


async def close(connection: aiormq.Connection) -> None:
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


async def _end(connection: aiormq.Connection) -> None:
    with suppress(Exception):
        for channel in list(connection.channels.values()):
            if channel is not None:
                await channel.close()  # its answer comes after the broker has read what was sent before
        await connection.close()


def cut(connection: aiormq.Connection) -> None:
    """End a connection at once: a close would wait for a peer that may be gone."""
    for name in ("_reader_task", "_writer_task"):
        task = getattr(connection, name, None)
        if task is not None:
            task.cancel()


def reason_of(error: BaseException) -> str:
    """Return the word for what went wrong."""
    if isinstance(error, Unavailable):
        return error.reason
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return reason
    if isinstance(error, OSError) and error.errno is not None:
        return connection_problem(error)
    return "closed"


_ERRORS: Final = aiormq.exceptions
_REASONS: Final[tuple[tuple[Any, str], ...]] = (
    (ConnectTimeout, "connect_timeout"),
    (TimeoutError, "login_timeout"),
    ((_ERRORS.AuthenticationError, _ERRORS.ProbableAuthenticationError), "access_refused"),
    (_ERRORS.ConnectionNotAllowed, "access_refused"),
    (_ERRORS.ChannelAccessRefused, "access_refused"),
    (_ERRORS.ChannelNotFoundEntity, "no_such_queue"),
    (_ERRORS.ChannelLockedResource, "locked"),
    (_ERRORS.ChannelPreconditionFailed, "precondition_failed"),
)
