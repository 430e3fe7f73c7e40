"""One connection to a NATS: nats-py logs in over a stream that is open already, and reads; each wait is bounded."""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
import nkeys
from nats import errors
from nats.aio.client import Client, RawCredentials
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from evframe import Unavailable
from evframe.plugin import HostAddress, comes_from_outside, connection_problem, without_tracebacks
from evframe_nats_clients.logins import LoginOptions

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Receive = Callable[[bytes, bytes, bytes, bytes | None], Awaitable[None] | None]
"""Is called with the subject, the reply subject, the body and the headers of each message; what it returns is awaited
before the next one."""
Denied = Callable[[str], None]
"""Is called with what the server says, in lower case, when it denies a publication or a subscription."""
_CREDS: Final = re.compile(r"BEGIN NATS USER JWT-+\r?\n\S+\r?\n[\s\S]*BEGIN USER NKEY SEED-+\r?\n(\S+)\r?\n")
_READ_BYTES: Final = 256 << 10
_REFUSED: Final = ("authorization violation", "authentication", "account", "maximum connections")


@attrs.frozen
class Settings:
    """What connections have in common."""

    name: str
    """What listings of the server call the connection."""
    connect_s: float
    login_s: float
    heartbeat_s: int
    """How often an idle connection is shown to live; 0 for never."""
    login: LoginOptions
    tls: ssl.SSLContext | None
    """What certificates are checked with; None without TLS."""


class _TlsMismatch(Exception):  # noqa: N818 what the server does, not a mistake
    """Raised when the server does not encrypt as it is to be, before anything secret is sent."""


class _NoCredentials(Exception):  # noqa: N818 a state of a file
    """Raised when a file of credentials cannot be used."""


class _Opened(TcpTransport):
    """Gives the library an open connection: it would resolve names on the threads of the loop.

    It never waits until the peer has read: a peer that reads nothing would hold up even the end of the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = writer

    async def connect(self, *_: Any, **__: Any) -> None:
        """Do nothing: the connection is open."""

    def write(self, payload: bytes) -> None:
        """Write, unless the connection has ended, which the reader reports: uvloop raises an error then."""
        with suppress(RuntimeError):
            super().write(payload)  # type: ignore[no-untyped-call]

    def writelines(self, payload: list[bytes]) -> None:
        """As `write`."""
        self.write(b"".join(payload))

    async def drain(self) -> None:
        """Do nothing."""

    async def wait_closed(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """End the connection at once."""
        for writer in (self._io_writer, self._bare_io_writer):
            if writer is not None:
                writer.transport.abort()


class NatsConnection(Client):
    """Logs in and reads; it never connects again, because evframe does.

    Args:
        stream: the open connection.
        wants_tls: whether the server has to encrypt it; otherwise the server must not want that.
        receive: takes the messages.
        denied: takes what the server says about permissions.
    """

    def __init__(
        self,
        stream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        receive: Receive,
        denied: Denied,
        *,
        wants_tls: bool,
    ) -> None:
        super().__init__()
        self._opened = _Opened(*stream)
        self._transport = self._opened
        self._wants_tls = wants_tls
        self._receive = receive
        self._denied = denied
        self.address: str = stream[1].get_extra_info("peername")[0]
        """That of the server."""
        self.is_leaving = False
        """Whether the server has announced that it stops."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended, with the reason."""

    async def log_in(self, host: str, settings: Settings) -> None:
        """Log in.

        Raises:
            Exception: whatever the library says; see `reason_of`.
        """
        login, tls = settings.login, settings.tls
        await self.connect(
            "nats://localhost",
            allow_reconnect=False,
            error_cb=self._take_error,
            closed_cb=self._take_end,
            name=settings.name,
            connect_timeout=math.ceil(settings.login_s),
            ping_interval=settings.heartbeat_s or 1 << 30,
            max_outstanding_pings=2,
            inbox_prefix=login.inbox_prefix,
            tls=tls,
            tls_hostname=host if tls else None,
            tls_handshake_first=login.tls_first and tls is not None,
            **await asyncio.to_thread(_credentials, login),
        )
        assert self._reading_task is not None
        self._reading_task.add_done_callback(lambda _: self.end("closed"))

    async def _take_error(self, error: Exception) -> None:
        text = str(error)
        if "permissions violation" in text:
            self._denied(text)

    async def _take_end(self) -> None:
        self.end("closed" if self.last_error is None else reason_of(self.last_error))

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 the library's
        """Check that the connection is encrypted as it should be; other servers of a cluster are not used."""
        if initial_connection:
            if self._wants_tls != bool(info.get("tls_required") or (self._wants_tls and info.get("tls_available"))):
                raise _TlsMismatch
            info["tls_required"] = self._wants_tls
        self.is_leaving = self.is_leaving or bool(info.get("ldm"))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:  # noqa: ARG002 the library's
        taken = self._receive(subject, reply, data, headers)
        if taken is not None:
            await taken

    def write(self, data: bytes) -> None:
        """Send *data*, whole commands of the protocol."""
        self._opened.write(data)

    async def flushed(self, timeout_s: float) -> None:
        """Wait until the server has read all that was written.

        Raises:
            Unavailable: if it has not after *timeout_s* seconds, or the connection ends.
        """
        pong: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        await self._send_ping(pong)
        await asyncio.wait((pong, self.ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if pong.done():
            return
        self._pongs = [asyncio.Future() if each is pong else each for each in self._pongs]
        raise Unavailable(self.ended.result() if self.ended.done() else "confirm_timeout")

    def end(self, reason: str) -> None:
        """End the connection at once; what was written may be lost."""
        if self.ended.done():
            return
        self.ended.set_result(reason)
        for task in (self._reading_task, self._ping_interval_task, self._flusher_task):
            if task is not None:
                task.cancel()
        self._status = Client.CLOSED
        self._opened.abort()
        # The tasks of the library keep the connection in a cycle, and nothing else is to stay in it.
        self._receive, self._denied, self._ps = _ignore, _ignore, Parser(self)


def _ignore(*_: Any) -> None:
    """Take what comes after the end."""


async def connect(
    host: str, found: Sequence[HostAddress], settings: Settings, receive: Receive, denied: Denied
) -> NatsConnection:
    """Return a new connection to the first of the addresses that accepts one.

    Args:
        host: the name that the certificate of the server has to have.
        found: the addresses.
        settings: of the connection.
        receive: takes the messages.
        denied: takes what the server says about permissions.

    Raises:
        Unavailable: if there is none, or the server does not let us in.
    """
    connection, reason = None, "connect_timeout"
    try:
        async with asyncio.timeout(settings.connect_s):
            stream = await _open(found, settings.connect_s / len(found))
        reason = "login_timeout"
        connection = NatsConnection(stream, receive, denied, wants_tls=settings.tls is not None)
        async with asyncio.timeout(settings.login_s):
            await connection.log_in(host, settings)
    except BaseException as error:
        if connection is not None:
            connection.end("closed")
        if comes_from_outside(error):
            raise
        if not isinstance(error, TimeoutError):
            reason = reason_of(error)
        without_tracebacks(error)
    else:
        return connection
    raise Unavailable(reason)


async def _open(found: Sequence[HostAddress], part_s: float) -> Stream:
    for address in found[:-1]:
        with suppress(OSError):
            async with asyncio.timeout(part_s):
                return await asyncio.open_connection(address.ip, address.sockaddr[1], limit=_READ_BYTES)
    return await asyncio.open_connection(found[-1].ip, found[-1].sockaddr[1], limit=_READ_BYTES)


def _credentials(login: LoginOptions) -> Mapping[str, Any]:
    """Return what the library logs in with."""
    try:
        if login.creds_file is not None:
            text = _read(login.creds_file)
            found = _CREDS.search(text)  # the library would look for a line that is missing without an end
            nkeys.from_seed(bytearray(b"" if found is None else found[1].encode()))
            return {"user_credentials": RawCredentials(text)}
        if login.nkey_file is not None:
            text = _read(login.nkey_file).strip()
            nkeys.from_seed(bytearray(text.encode()))
            return {"nkeys_seed_str": text}
    except (OSError, ValueError, nkeys.NkeysError):
        raise _NoCredentials from None
    if login.token is not None:
        return {"token": str(login.token)}
    if login.password is not None:
        return {"user": login.user, "password": str(login.password)}
    return {}


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read(1 << 16)


def reason_of(error: BaseException) -> str:
    """Return the word for what went wrong."""
    if isinstance(error, _NoCredentials):
        return "no_credentials"
    if isinstance(error, _TlsMismatch | ssl.SSLError | ssl.CertificateError):
        return "tls"
    if isinstance(error, errors.AuthorizationError) or any(word in str(error).lower() for word in _REFUSED):
        return "access_refused"
    if isinstance(error, TimeoutError | errors.StaleConnectionError) and not isinstance(error, errors.UnexpectedEOF):
        return "timeout"
    if isinstance(error, OSError) and error.errno is not None:
        return connection_problem(error)
    return "closed"
