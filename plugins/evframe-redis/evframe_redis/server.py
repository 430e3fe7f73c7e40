"""The connection of one subscriber: opened when it is needed, each wait bounded; imported late, with redis-py."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

from evframe_wire.addresses import connection_problem
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from evframe import Rejected, Unavailable
from evframe.plugin import HostAddress, Resolver, first_reached, without_tracebacks
from evframe_redis.address import RedisSocket
from evframe_redis.entries import command
from evframe_redis.options import Options
from evframe_redis.replies import Refusal

_TLS_END_S: Final = 1.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Connection(AbstractConnection):
    """A connection of redis-py over streams that are open: the library would resolve the name itself, unbounded.

    It never connects again: the core retries.
    """

    def __init__(self, streams: Streams, **options: Any) -> None:
        # Version 3 of the protocol needs a greeting that servers before 6 do not know, and adds nothing here.
        super().__init__(**options, protocol=2, socket_timeout=None, driver_info=None)
        self._streams: Streams | None = streams

    async def _connect(self) -> None:
        if self._streams is None:
            raise ConnectionResetError
        (self._reader, self._writer), self._streams = self._streams, None

    def _host_error(self) -> str:
        return "the server"

    def repr_pieces(self) -> list[tuple[str, Any]]:
        """Return what the representation has."""
        return []

    @property
    def is_usable(self) -> bool:
        """Whether it has not ended."""
        return self._reader is not None and not self._reader.at_eof() and self._reader.exception() is None

    async def ask(self, *words: bytes) -> Any:
        """Return the reply to a command."""
        await self.send_packed_command(command(*words), check_health=False)
        return await self.read_response(disable_decoding=True)

    def cut(self) -> None:
        """End it at once, without a wait for the server."""
        writer = self._writer if self._streams is None else self._streams[1]
        self._reader = self._writer = self._streams = None
        self._parser.on_disconnect()  # type: ignore[no-untyped-call] # of redis-py
        if writer is not None:
            writer.transport.abort()


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
        self._ip: str | None = None
        self._is_leaving = False
        self.is_careful = False
        """Whether the server has refused events for now, so that the next one is sent alone."""

    async def exchange(self, data: bytes, count: int, replies: list[Refusal | None]) -> None:
        """Send *count* commands, and append the reply to each: None for an entry that is in its stream.

        Raises:
            Unavailable: if the connection ends before all of them are answered.
        """
        connection = await self._opened()
        async with self._bounded(self._options.timeout_ms, "timeout"):
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
        async with self._bounded(self._options.timeout_ms, "timeout"):
            with suppress(exceptions.ResponseError):  # to ask may be forbidden
                found = await connection.ask(*(b"TYPE", self.target.stream.encode()) if fixed else (b"PING",))
        if fixed and found not in {None, b"none", b"stream"}:
            raise Rejected("wrongtype")

    async def _opened(self) -> Connection:
        """Return the connection, a new one where there is none that works."""
        if self._connection is not None and self._connection.is_usable and not self._is_leaving:
            return self._connection
        self.cut()
        target, options = self.target, self._options
        host, port = target.endpoints[0]
        found = await self._resolver.addresses(host, port)
        try:
            async with self._bounded(options.connect_timeout_ms, "connect_timeout"):
                streams = await first_reached(found, partial(self._open, host), options.connect_timeout_ms / 1000)
            made = Connection(streams, username=target.user, password=target.password, db=target.database)
            self._connection, self._ip, self._is_leaving = made, streams[1].get_extra_info("peername")[0], False
            async with self._bounded(options.login_timeout_ms, "login_timeout"):
                await made.connect()  # type: ignore[no-untyped-call] # of redis-py
                name = options.client_name.encode()
                # An answer before the first event: a server that hangs would get the same events with each attempt.
                with suppress(exceptions.ResponseError):  # it may be forbidden
                    await made.ask(*((b"CLIENT", b"SETNAME", name) if name else (b"PING",)))
        except Unavailable:
            self._resolver.forget(host)
            raise
        return made

    async def _open(self, host: str, address: HostAddress) -> Streams:
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {"ssl": self._tls, "server_hostname": host, "ssl_shutdown_timeout": _TLS_END_S}
        return await asyncio.open_connection(address.ip, address.sockaddr[1], **tls)

    @asynccontextmanager
    async def _bounded(self, limit_ms: float, late: str) -> AsyncIterator[None]:
        """Cut the connection after an error, which becomes Unavailable; *late* is the reason when the time is over."""
        reason = ""
        is_over = False
        try:
            async with asyncio.timeout(limit_ms / 1000):
                yield
            is_over = True
        except TimeoutError:
            reason = late
        except Exception as error:  # noqa: BLE001 whatever the library makes of what the peer sends
            reason = _problem(without_tracebacks(error))
        finally:
            if not is_over:  # what comes next would be taken for the answer to another command
                self.cut()
        if reason:  # outside of the handler, because the library keeps its errors in cycles
            raise Unavailable(reason)

    def leave(self) -> None:
        """Look the name up again, and use another connection from now on."""
        self._resolver.forget(self.target.endpoints[0][0])
        self.cut()

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Leave an address that *host* has no more, once what is under way there has its outcomes."""
        if self.target.endpoints[0][0] == host and all(address.ip != self._ip for address in addresses):
            self._is_leaving = True

    def cut(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cut()


async def _reply(connection: Connection) -> Refusal | None:
    try:
        reply = await connection.read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        return Refusal.of(str(without_tracebacks(error)), getattr(error, "status_code", None))
    if not isinstance(reply, bytes) or b"-" not in reply:  # of an entry that is in its stream it is the id
        raise exceptions.InvalidResponse
    return None


def _problem(error: Exception) -> str:
    """Return the word for what has ended a connection."""
    if isinstance(error, exceptions.AuthenticationError):
        return "access_refused"
    if isinstance(error, exceptions.ResponseError | exceptions.BusyLoadingError):
        return Refusal.of(str(error), getattr(error, "status_code", None)).reason
    if isinstance(error, exceptions.ConnectionError):
        if "max number of clients" in str(error):
            return "too_many_clients"
        error = error.__context__ if isinstance(error.__context__, OSError) else ConnectionResetError()
    return (connection_problem(error) if error.errno else "closed") if isinstance(error, OSError) else "bad_reply"
