"""One connection to a broker, and a channel for each subscriber."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any

import aiormq
from yarl import URL

from evframe import Unavailable
from evframe.sockets import connection_problem, without_brackets
from evframe_rabbitmq.address import RabbitSocket
from evframe_rabbitmq.channel import BatchChannel, NoChannelLeft, open_channel
from evframe_rabbitmq.options import Options

_CLOSE_S = 2.0


class _Connection(aiormq.Connection):
    FRAME_BUFFER_SIZE = 0
    """No bound: more than ten frames in one turn of the loop would be an error; messages have a bound of their own."""


class Broker:
    """Connects when it is needed; subscribers with the same credentials share it."""

    def __init__(self, target: RabbitSocket, options: Options, context: ssl.SSLContext | None) -> None:
        self._target = target
        self._options = options
        self._context = context
        self._connection: Any = None
        self._connecting = asyncio.Lock()
        self._channels: dict[str, BatchChannel] = {}
        self.most_bytes: int | None = None
        """How large a message may be; None until the broker has refused one."""

    @property
    def is_used(self) -> bool:
        """Whether a subscriber has a channel."""
        return bool(self._channels)

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
        except NoChannelLeft:
            raise Unavailable("no_channel_left") from None
        except TimeoutError:
            self.abort()
            raise Unavailable("login_timeout") from None
        except Exception as error:  # noqa: BLE001 the library ends cancelled waits with whatever it has at hand
            self.abort()
            raise Unavailable(reason_of(error)) from None
        self._channels[canonical] = channel
        return channel

    async def _connect(self) -> Any:
        if self._connection is not None and not self._connection.is_closed:
            return self._connection
        target, options = self._target, self._options
        # The library has one limit for everything; a broker that is not there is found out sooner.
        async with asyncio.timeout(options.connect_timeout_ms / 1000):
            _, probe = await asyncio.open_connection(without_brackets(target.host), target.port)
        probe.close()
        async with asyncio.timeout(options.login_timeout_ms / 1000):
            connection = _Connection(self._url(), context=self._context)
            await connection.connect()
        self._connection, self.most_bytes = connection, None
        return connection

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

    async def release(self, canonical: str) -> None:
        """Close the channel of a subscriber, and with the last one the connection."""
        channel = self._channels.pop(canonical, None)
        async with self._connecting:
            connection = None
            if not self._channels:
                # Whoever comes back while this one ends gets a connection of its own.
                connection, self._connection = self._connection, None
        # The library ends with a cancellation of its own what it was waiting for when the time is over.
        with suppress(Exception, asyncio.CancelledError):
            async with asyncio.timeout(_CLOSE_S):
                if channel is not None:
                    await channel.close()
                if connection is not None:
                    await connection.close()
        if connection is not None:
            _cut(connection)


def _cut(connection: Any) -> None:
    """End a connection at once: to close it as AMQP does waits for the peer, and leaves it open if that is silent."""
    for task in (connection._reader_task, connection._writer_task):  # noqa: SLF001
        task.cancel()


def reason_of(error: BaseException) -> str:
    """Return the word for what went wrong."""
    if isinstance(error, aiormq.exceptions.AuthenticationError | aiormq.exceptions.ProbableAuthenticationError):
        return "access_refused"
    if isinstance(error, OSError) and error.errno is not None:
        return connection_problem(error)
    return "closed"
