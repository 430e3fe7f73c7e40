"""The server of one subscriber, with a connection of redis-py; imported late, with the library."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress

from evframe_connections import Link as Connected
from evframe_connections import Server as Connecting
from evframe_redis_clients.connection import Connection, Limits, bounded, connect
from redis import exceptions

from evframe import Rejected
from evframe.plugin import HostAddress, Resolver, without_tracebacks
from evframe_redis.address import RedisSocket
from evframe_redis.options import Options
from evframe_redis.replies import Refusal


class Link(Connected):
    """Sends commands on one connection, and reads their replies.

    Args:
        connection: that is logged in.
        timeout_ms: how long the server may take to answer what was sent at once.
    """

    def __init__(self, connection: Connection, timeout_ms: float) -> None:
        self._connection = connection
        self._timeout_ms = timeout_ms
        self._exchange: asyncio.Future[None] | None = None
        self.is_careful = True
        """Whether the next event is sent alone: the server has taken none on this connection, or has refused some.

        A server that has just started, or becomes the primary one, would refuse the first ones of many and take the
        others.
        """

    @property
    def ip(self) -> str:
        """The address of the server."""
        return self._connection.ip

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent."""
        return self._connection.is_usable

    @property
    def under_way(self) -> Sequence[asyncio.Future[None]]:
        """What has no replies yet."""
        return [] if self._exchange is None else [self._exchange]

    async def exchange(self, data: bytes, count: int, replies: list[Refusal | None]) -> None:
        """Send *count* commands, and append the reply to each: None for an entry that is in its stream.

        Raises:
            Unavailable: if the connection ends before all of them are answered.
        """
        self._exchange = asyncio.get_running_loop().create_future()
        try:
            async with bounded(self._timeout_ms, "timeout", self.cut):
                await self._connection.send_packed_command(data, check_health=False)
                while len(replies) < count:
                    replies.append(await self._reply())
        finally:
            self._exchange.set_result(None)
            self._exchange = None

    async def _reply(self) -> Refusal | None:
        try:
            reply = await self._connection.read_response(disable_decoding=True)
        except exceptions.ResponseError as error:
            return Refusal.of(without_tracebacks(error))
        if not isinstance(reply, bytes) or b"-" not in reply:  # of an entry that is in its stream it is the id
            raise exceptions.InvalidResponse
        return None

    async def probe(self, target: RedisSocket) -> None:
        """Return when the stream exists or can be made.

        Raises:
            Unavailable: if the connection ends before.
            Rejected: if something else has the name of the stream.
        """
        fixed = target.template is None
        found = None
        async with bounded(self._timeout_ms, "timeout", self.cut):
            with suppress(exceptions.ResponseError):  # to ask may be forbidden
                found = await self._connection.ask(*(b"TYPE", target.stream.encode()) if fixed else (b"PING",))
        if fixed and found not in {None, b"none", b"stream"}:
            raise Rejected("wrongtype")

    async def close(self) -> None:
        """End the connection."""
        self.cut()

    def cut(self) -> None:
        """End the connection."""
        self._connection.cut()


class Server(Connecting[Link]):
    """The server of one subscriber.

    Args:
        target: the socket.
        options: of the plugin.
        tls: what certificates are checked with; None without TLS.
        resolver: looks the host up.
    """

    def __init__(self, target: RedisSocket, options: Options, tls: ssl.SSLContext | None, resolver: Resolver) -> None:
        super().__init__(target.endpoints, resolver, options.timeout_ms / 1000)
        self._address, self._options, self._tls = target.address, options, tls

    async def _connect(self, host: str, addresses: Sequence[HostAddress]) -> Link:  # noqa: ARG002 the address has the host
        options = self._options
        limits = Limits(options.connect_timeout_ms, options.login_timeout_ms)
        made = await connect(self._address, addresses, self._tls, limits, options.client_name)
        return Link(made, options.timeout_ms)
