"""Where the events of one instance arrive: one socket for each, so that the instance of an event is known."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from evframe_wire.drops import DropCounter
from evframe_wire.endpoints import OwnPath

from evframe_opensips.intake import Intake
from evframe_opensips.messages import split

_TURN_DATAGRAMS: Final = 1000
_LAST_TURNS: Final = 100  # a sender without an end would hold the loop up
_DATAGRAM_BYTES: Final = 1 << 18  # through a UNIX socket they may be longer than over UDP
_MAX_CONNECTIONS: Final = 256
_END: Final = re.compile(rb"[}\]]\s*\Z")


class Receiver(Protocol):
    """What takes the events of an instance, from `open` until it is closed."""

    is_handed_over: bool
    """Whether another process holds its socket, which then keeps what arrives during a restart."""

    @property
    def address(self) -> Any:
        """Where it listens: the path, or the host and the port."""

    async def open(self) -> None:
        """Begin, on the running loop."""

    def close(self) -> None:
        """Take nothing more."""


class DatagramReceiver:
    """Takes datagrams, of which each has one event or several.

    Args:
        sock: the bound socket.
        intake: gets them.
        path: of the socket, if it has one that is removed with it.
        is_handed_over: whether another process holds the socket, too.
    """

    def __init__(
        self, sock: socket.socket, intake: Intake, path: OwnPath | None = None, *, is_handed_over: bool = False
    ) -> None:
        self.is_handed_over = is_handed_over
        self._sock = sock
        self._path = path
        self._intake = intake
        self._drops = DropCounter(sock)
        self.address = sock.getsockname()

    async def open(self) -> None:
        """Begin."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock, self._read)

    def _read(self) -> bool:
        """Take what has arrived, as much as one turn of the loop may take; return whether there may be more."""
        receive = self._sock.recv
        take = self._intake.take
        with suppress(BlockingIOError, InterruptedError):
            data, ancillary, _, _ = self._sock.recvmsg(_DATAGRAM_BYTES, DropCounter.SPACE)
            self._intake.drop(self._drops.take(ancillary))  # once in a turn: others cost less
            if data:
                take(data)
            for _ in range(_TURN_DATAGRAMS - 1):
                data = receive(_DATAGRAM_BYTES)
                if data:
                    take(data)
            return True
        return False

    def close(self) -> None:
        """Close the socket, and remove its path; what has arrived is taken, unless another process holds the socket."""
        if self._sock.fileno() < 0:
            return
        if self._path is not None:
            with suppress(OSError):
                self._path.remove()  # nothing more arrives there
        if self._loop is not None:
            self._loop.remove_reader(self._sock)
            if not self.is_handed_over:
                self._take_the_rest()
        self._sock.close()

    def _take_the_rest(self) -> None:
        """Take what waits: it is nowhere else."""
        for _ in range(_LAST_TURNS):
            if not self._read():
                return

    _loop: asyncio.AbstractEventLoop | None = None


class StreamReceiver:
    """Takes connections, on which events follow each other without anything between them.

    Args:
        sock: the listening socket.
        intake: gets the events.
        max_message_bytes: the longest one.
        lost: called when a connection has ended, which may be a sign that its sender has.
        is_handed_over: whether another process holds the socket, too.
    """

    def __init__(
        self,
        sock: socket.socket,
        intake: Intake,
        max_message_bytes: int,
        lost: Callable[[], None],
        *,
        is_handed_over: bool = False,
    ) -> None:
        self.is_handed_over = is_handed_over
        self._sock = sock
        self._intake = intake
        self._max_message_bytes = max_message_bytes
        self._lost = lost
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.address = sock.getsockname()

    async def open(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=self._sock)

    def _connection(self) -> _Connection:
        connection = _Connection(self._intake, self._max_message_bytes, self._over)
        if len(self._connections) >= _MAX_CONNECTIONS:
            connection.is_wanted = False
        else:
            self._connections.add(connection)
        return connection

    def _over(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        if self._server is not None:
            self._lost()

    def close(self) -> None:
        """Close the socket and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._sock.close()
        for connection in list(self._connections):
            connection.close()


class _Connection(asyncio.Protocol):
    """One connection; the beginning of a message waits for its rest."""

    def __init__(self, intake: Intake, max_message_bytes: int, over: Callable[[_Connection], None]) -> None:
        self._intake = intake
        self._max_message_bytes = max_message_bytes
        self._over = over
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.is_wanted = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self.is_wanted:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        *whole, self._rest = split(self._rest + data)
        replies = [self._intake.take(piece) for piece in whole]
        reply = self._intake.take_whole(self._rest) if _END.search(self._rest) else None
        if reply is not None:
            replies.append(reply)
            self._rest = b""
        elif len(self._rest) > self._max_message_bytes:
            self._give_up()
        if any(replies) and self._transport is not None:
            self._transport.write(b"".join(replies))

    def pause_writing(self) -> None:
        """Take nothing more from a sender that does not read its replies."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        if self._rest.strip():
            self._give_up()
        self._over(self)

    def _give_up(self) -> None:
        self._intake.cut_off(len(self._rest))
        self._rest = b""

    def close(self) -> None:
        """End the connection, once the events that have arrived on it are taken."""
        if self._transport is None or self._transport.is_closing():
            return
        with suppress(OSError), socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno())) as sock:
            while data := sock.recv(_DATAGRAM_BYTES):
                self.data_received(data)
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()
