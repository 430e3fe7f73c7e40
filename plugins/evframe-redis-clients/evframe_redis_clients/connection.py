"""Connections of redis-py over streams that the resolver's addresses have opened; imported late, with the library."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import attrs
from evframe_wire.addresses import connection_problem
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from evframe import Unavailable
from evframe.plugin import HostAddress, first_reached, without_tracebacks
from evframe_redis_clients.addresses import Address
from evframe_redis_clients.replies import code_of, command, word_of

_TLS_END_S: Final = 1.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@attrs.frozen
class Limits:
    """What bounds a connection."""

    connect_ms: float
    """How long it may take to make it, with TLS."""
    login_ms: float
    """How long the server may take to let us in."""


class Connection(AbstractConnection):
    """A connection of redis-py over streams that are open: the library would resolve the name itself, unbounded.

    It never connects again: its user does.
    """

    def __init__(self, streams: Streams, address: Address) -> None:
        # Version 3 of the protocol needs a greeting that servers before 6 do not know, and adds nothing here.
        super().__init__(
            username=address.user,
            password=address.password,
            db=address.database,
            protocol=2,
            socket_timeout=None,
            driver_info=None,
        )
        self._streams: Streams | None = streams
        self.ip: str = streams[1].get_extra_info("peername")[0]
        """The address of the server."""

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
        """Whether it has not ended, and nothing has come that would be taken for the reply to the next command."""
        reader = self._reader
        if reader is None or reader.at_eof() or reader.exception() is not None:
            return False
        return not reader._buffer  # type: ignore[attr-defined] # noqa: SLF001 it has no public name

    async def ask(self, *words: bytes) -> Any:
        """Return the reply to a command.

        Raises:
            redis.exceptions.ResponseError: if it is an error.
        """
        await self.send_packed_command(command(*words), check_health=False)
        return await self.read_response(disable_decoding=True)

    def cut(self) -> None:
        """End it at once, without a wait for the server."""
        writer = self._writer if self._streams is None else self._streams[1]
        self._reader = self._writer = self._streams = None
        self._parser.on_disconnect()  # type: ignore[no-untyped-call] # of redis-py
        if writer is not None:
            writer.transport.abort()


async def connect(
    address: Address, found: Sequence[HostAddress], tls: ssl.SSLContext | None, limits: Limits, name: str
) -> Connection:
    """Return a new connection that is logged in.

    Args:
        address: the server and the login.
        found: the addresses of the server.
        tls: what certificates are checked with; None without TLS.
        limits: the bounds of the waits.
        name: of the connection, for ``CLIENT LIST``; empty for none.

    Raises:
        Unavailable: if there can be none.
    """
    async with bounded(limits.connect_ms, "connect_timeout"):
        streams = await first_reached(found, partial(_open, address.endpoint[0], tls), limits.connect_ms / 1000)
    made = Connection(streams, address)
    async with bounded(limits.login_ms, "login_timeout", made.cut):
        await made.connect()  # type: ignore[no-untyped-call] # of redis-py
        # An answer before anything else: a server that hangs would get the same commands with each attempt.
        with suppress(exceptions.ResponseError):  # it may be forbidden
            await made.ask(*((b"CLIENT", b"SETNAME", name.encode()) if name else (b"PING",)))
    return made


async def _open(host: str, tls: ssl.SSLContext | None, address: HostAddress) -> Streams:
    more: dict[str, Any] = {}
    if tls is not None:
        more = {"ssl": tls, "server_hostname": host, "ssl_shutdown_timeout": _TLS_END_S}
    return await asyncio.open_connection(address.ip, address.sockaddr[1], **more)


@asynccontextmanager
async def bounded(limit_ms: float, late: str, cut: Callable[[], None] | None = None) -> AsyncIterator[None]:
    """Bound what is exchanged over a connection; call *cut* after an error, which becomes Unavailable.

    What comes next on the connection would be taken for the answer to another command.

    Args:
        limit_ms: how long it may take.
        late: the reason when that is over.
        cut: ends the connection.
    """
    reason = ""
    is_over = False
    try:
        async with asyncio.timeout(limit_ms / 1000):
            yield
        is_over = True
    except TimeoutError:
        reason = late
    except Exception as error:  # noqa: BLE001 whatever the library makes of what the peer sends
        reason = problem_of(without_tracebacks(error))
    finally:
        if not is_over and cut is not None:
            cut()
    if reason:  # outside of the handler, because the library keeps its errors in cycles
        raise Unavailable(reason)


def problem_of(error: Exception) -> str:
    """Return the word for what has ended a connection."""
    if isinstance(error, Unavailable):
        return error.reason
    if isinstance(error, exceptions.AuthenticationError):
        return "access_refused"
    if isinstance(error, exceptions.ResponseError | exceptions.BusyLoadingError):
        return word_of(code_of(error), str(error))
    if isinstance(error, exceptions.ConnectionError):
        if "max number of clients" in str(error):
            return "too_many_clients"
        error = error.__context__ if isinstance(error.__context__, OSError) else ConnectionResetError()
    return (connection_problem(error) if error.errno else "closed") if isinstance(error, OSError) else "bad_reply"
