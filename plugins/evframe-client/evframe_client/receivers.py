"""Where events arrive: a socket of this program, which the gateway gets as the subscriber."""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, Protocol

from evframe_wire.addresses import connection_problem
from evframe_wire.drops import DropCounter
from evframe_wire.endpoints import bind_inet
from evframe_wire.framing import MAX_VALUE_BYTES, Splitter

from evframe_client.addresses import Kind
from evframe_client.datagram import MAX_BYTES, bind_new_name

log = logging.getLogger("evframe.client")
Arrived = tuple[bytes, "Connection | None"]
"""A payload, and the connection that takes the reply to it; datagrams are not replied to."""
_BUFFER_BYTES: Final = 4 << 20
_AT_ONCE: Final = 256  # datagrams, so that others have their turn
_LAST_READS: Final = 1000  # a sender without an end would hold the end up
_RECEIVE_BYTES: Final = 8 << 10  # of a connection at once: to find the ends in more would hold up the loop
_MAX_CONNECTIONS: Final = 256
_SHOWN: Final = 20  # bytes of what begins with no event
_SO_RCVBUFFORCE: Final = 33  # of Linux, which Python has no name for


class Receiver(Protocol):
    """A subscriber socket."""

    @property
    def address(self) -> Any:
        """Where it is bound: a path, or host and port."""

    def fileno(self) -> int:
        """Return the descriptor that can be read when something has arrived."""

    @property
    def lost(self) -> int:
        """How many datagrams the kernel had no room for."""

    def read(self) -> Iterator[Arrived]:
        """Yield what has arrived, without waiting, each as it is received: the kernel has room for more meanwhile."""

    def last(self) -> Iterator[Arrived]:
        """Yield what would be lost by `close`; nothing more arrives."""

    def close(self) -> None:
        """Close the socket, and every connection."""


def open_receiver(kind: Kind, address: str) -> Receiver:
    """Return a receiver at a free port of *address*; a UNIX socket needs none."""
    if kind == "tcp":
        return StreamReceiver(bind_inet(socket.SOCK_STREAM, address, 0))
    if kind == "udp":
        return DatagramReceiver(_with_room(bind_inet(socket.SOCK_DGRAM, address, 0)))
    sock, remove = bind_new_name()
    return DatagramReceiver(_with_room(sock), remove)


def _with_room(sock: socket.socket) -> socket.socket:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    with suppress(PermissionError):  # the system's limit holds for users
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    return sock


class DatagramReceiver:
    """Takes datagrams.

    Args:
        sock: the bound socket.
        remove: removes its path.
        is_shared: whether another process holds the socket, too, and gets what waits in it.
    """

    def __init__(
        self, sock: socket.socket, remove: Callable[[], None] | None = None, *, is_shared: bool = False
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._remove = remove
        self._is_shared = is_shared
        self._drops = DropCounter(sock)
        self._buffer = memoryview(bytearray(MAX_BYTES))
        self.address = sock.getsockname()

    @property
    def lost(self) -> int:
        """See `Receiver`."""
        return self._drops.total

    def fileno(self) -> int:
        """See `Receiver`."""
        return self._sock.fileno()

    def read(self) -> Iterator[Arrived]:
        """See `Receiver`."""
        buffer, receive = self._buffer, self._sock.recv_into
        with suppress(BlockingIOError, InterruptedError):
            size, ancillary, _, _ = self._sock.recvmsg_into([buffer], DropCounter.SPACE)
            self._drops.take(ancillary)  # of the first alone: the others cost less without
            yield bytes(buffer[:size]), None
            for _ in range(_AT_ONCE - 1):
                yield bytes(buffer[: receive(buffer)]), None

    def last(self) -> Iterator[Arrived]:
        """See `Receiver`."""
        self._remove_path()
        for _ in range(0 if self._is_shared else _LAST_READS):
            arrived = self.read()
            if (first := next(arrived, None)) is None:
                return
            yield first
            yield from arrived

    def _remove_path(self) -> None:
        remove, self._remove = self._remove, None
        if remove is not None:
            with suppress(OSError):
                remove()

    def close(self) -> None:
        """See `Receiver`."""
        self._remove_path()
        self._sock.close()


class StreamReceiver:
    """Takes connections, on which payloads follow each other without anything between them.

    Args:
        sock: the listening socket.
        max_bytes: the longest payload; of a longer one the first bytes are taken, and the rest is dropped.
        lost: called when a connection has ended.
    """

    lost = 0

    def __init__(
        self,
        sock: socket.socket,
        max_bytes: int = MAX_VALUE_BYTES,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._max_bytes = max_bytes
        self._lost = lost
        self.address = sock.getsockname()
        self._selector = selectors.EpollSelector()
        self._selector.register(sock, selectors.EVENT_READ)

    @property
    def connections(self) -> int:
        """How many there are."""
        return sum(key.data is not None for key in self._selector.get_map().values())

    def fileno(self) -> int:
        """See `Receiver`."""
        return self._selector.fileno()

    def read(self) -> Iterator[Arrived]:
        """See `Receiver`."""
        for key, _ in self._selector.select(0):
            connection: Connection | None = key.data
            if connection is None:
                self._accept()
                continue
            for payload in connection.read():
                yield payload, connection
            connection.flush()

    def _accept(self) -> None:
        with suppress(OSError):
            sock, _ = self._sock.accept()
            if self.connections < _MAX_CONNECTIONS:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Connection(sock, self._selector, self._max_bytes, self._lost)
            else:
                sock.close()

    def last(self) -> Iterator[Arrived]:
        """See `Receiver`."""
        self._selector.unregister(self._sock)
        for _ in range(_LAST_READS):
            if not self._selector.select(0):
                return
            yield from self.read()

    def close(self) -> None:
        """See `Receiver`."""
        for key in list((self._selector.get_map() or {}).values()):  # None once it is closed
            key.fileobj.close()  # type: ignore[union-attr]
        self._sock.close()
        self._selector.close()


class Connection:
    """One connection, which is not read while its peer does not take the replies."""

    def __init__(
        self,
        sock: socket.socket,
        selector: selectors.BaseSelector,
        max_bytes: int,
        lost: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._selector = selector
        self._lost = lost
        self._splitter = Splitter(max_bytes)
        self._is_new = True
        self._unsent = bytearray()
        selector.register(sock, selectors.EVENT_READ, self)

    def read(self) -> list[bytes]:
        """Return the payloads that what has arrived completes."""
        if self._unsent:
            return []
        try:
            data = self._sock.recv(_RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as error:
            self._end(error)
            return self._splitter.end()
        if not data:
            self._end()
            return self._splitter.end()
        if self._is_new and (begun := data.lstrip()):
            self._is_new = False
            if begun[:1].isalpha():
                # An HTTP request: a web page in a browser of this machine could forge the event in its body.
                log.info("a connection does not begin with an event", extra={"began": repr(begun[:_SHOWN])})
                self._end()
                return [begun[:_SHOWN]]  # which is counted
        return self._splitter.feed(data)

    def reply(self, data: bytes) -> None:
        """Send *data* once the payloads that have arrived with the one that it answers are taken."""
        self._unsent += data

    def flush(self) -> None:
        """Send what waits, as far as there is room for it; while something waits, nothing is read."""
        if not self._unsent or self._sock.fileno() < 0:
            return
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._end(error)
            return
        events = selectors.EVENT_WRITE if self._unsent else selectors.EVENT_READ
        if self._selector.get_key(self._sock).events != events:
            self._selector.modify(self._sock, events, self)

    def _end(self, error: OSError | None = None) -> None:
        self._selector.unregister(self._sock)
        self._sock.close()
        if error is not None:
            log.info("a connection of the gateway was lost", extra={"problem": connection_problem(error)})
        self._lost()
