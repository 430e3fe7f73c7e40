"""The connection of one subscriber: opened when it is needed, each wait bounded; imported late, with redis-py."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress

from evframe_redis_clients.connection import Connection, Limits, bounded, connect
from redis import exceptions

from evframe import Rejected, Unavailable
from evframe.plugin import HostAddress, Resolver, without_tracebacks
from evframe_redis.address import RedisSocket
from evframe_redis.options import Options
from evframe_redis.replies import Refusal


class Server:
    """The server of one subscriber.

    Args:
        target: the socket.
        options: of the plugin.
        tls: what certificates are checked with; None without TLS.
        resolver: looks the host up.
    """

    def __init__(self, target: RedisSocket, options: Options, tls: ssl.SSLContext | None, resolver: Resolver) -> None:
        self.target = target
        self._options, self._tls, self._resolver = options, tls, resolver
        self._connection: Connection | None = None
        self._is_leaving = False
        self.is_careful = False
        """Whether the server has refused events for now, so that the next one is sent alone."""

    async def exchange(self, data: bytes, count: int, replies: list[Refusal | None]) -> None:
        """Send *count* commands, and append the reply to each: None for an entry that is in its stream.

        Raises:
            Unavailable: if the connection ends before all of them are answered.
        """
        connection = await self._opened()
        async with bounded(self._options.timeout_ms, "timeout", self.cut):
            await connection.send_packed_command(data, check_health=False)
            while len(replies) < count:
                replies.append(await _reply(connection))

    async def probe(self) -> None:
        """Return when the server can be reached, and the stream exists or can be made.

        Raises:
            Unavailable: if the server cannot be reached.
            Rejected: if something else has the name of the stream.
        """
        fixed = self.target.template is None
        connection = await self._opened()
        found = None
        async with bounded(self._options.timeout_ms, "timeout", self.cut):
            with suppress(exceptions.ResponseError):  # to ask may be forbidden
                found = await connection.ask(*(b"TYPE", self.target.stream.encode()) if fixed else (b"PING",))
        if fixed and found not in {None, b"none", b"stream"}:
            raise Rejected("wrongtype")

    async def _opened(self) -> Connection:
        """Return the connection, a new one where there is none that works."""
        if self._connection is not None and self._connection.is_usable and not self._is_leaving:
            return self._connection
        self.cut()
        address, options = self.target.address, self._options
        host, port = address.endpoint
        found = await self._resolver.addresses(host, port)
        limits = Limits(options.connect_timeout_ms, options.login_timeout_ms)
        try:
            made = await connect(address, found, self._tls, limits, options.client_name)
        except Unavailable:
            self._resolver.forget(host)
            raise
        self._connection, self._is_leaving = made, False
        return made

    def leave(self) -> None:
        """Look the name up again, and use another connection from now on."""
        self._resolver.forget(self.target.address.endpoint[0])
        self.cut()

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Leave an address that *host* has no more, once what is under way there has its outcomes."""
        connection = self._connection
        if connection is not None and self.target.address.endpoint[0] == host:
            self._is_leaving = all(address.ip != connection.ip for address in addresses)

    def cut(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cut()


async def _reply(connection: Connection) -> Refusal | None:
    try:
        reply = await connection.read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        return Refusal.of(without_tracebacks(error))
    if not isinstance(reply, bytes) or b"-" not in reply:  # of an entry that is in its stream it is the id
        raise exceptions.InvalidResponse
    return None
