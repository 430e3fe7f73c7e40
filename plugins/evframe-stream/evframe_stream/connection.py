"""One connection to a peer: made when there is something to send, and again after it was lost."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from evframe_wire.addresses import connection_problem

from evframe import Unavailable
from evframe.plugin import Age, HostAddress, Resolver, first_reached
from evframe_stream.chunk import Chunk
from evframe_stream.options import Options

Address = tuple[str, int]
Endpoint = tuple[str, int]
_READ_BYTES: Final = 1 << 18
_TCP_CLOSE: Final = 7  # the state, first in TCP_INFO
_PROBES: Final = 3


class Connection(ABC):
    """Reads and writes; what the bytes mean for the outcome of an event is up to a subclass.

    Args:
        endpoint: the host and the port; the host is looked up for each connection anew.
        options: those of the transport.
        resolver: looks the host up.
    """

    protocol: ClassVar = "tcp"
    """What the end of a connection is reported with."""
    on_closed: Callable[[Address, Address], None] | None = None
    """Called with the peer's and the own address of each connection that ends, unless it carried meta events alone."""

    def __init__(self, endpoint: Endpoint, options: Options, resolver: Resolver) -> None:
        self._endpoint = endpoint
        self._options = options
        self._resolver = resolver
        self._address: HostAddress | None = None
        self._kernel: socket.socket | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._ends: tuple[Address, Address] | None = None
        self._is_reported = False  # its end is
        self._at_end = False  # nothing is read or written any more
        self._is_leaving = False  # for another connection
        self._is_closed = False  # for good
        self._has_shut = False  # this side
        self._problem: str | None = None  # what a write has met with
        self._age = Age()
        self._buffer: deque[memoryview] = deque()
        self._writing = False
        self._queued = 0  # bytes ever queued on this connection
        self._buffered = 0  # of these, not yet taken by the kernel
        self.loop = asyncio.get_running_loop()
        self.users: set[str] = set()

    @abstractmethod
    def send(self, chunk: Chunk) -> asyncio.Future[None]:
        """Take *chunk* on; return its future."""

    @abstractmethod
    def opened(self) -> None:
        """Write what waits: a connection was made."""

    @abstractmethod
    def received(self, data: bytes) -> None:
        """Take *data* from the peer."""

    @abstractmethod
    def lost(self, reason: str, acknowledged: int) -> None:
        """Give back what is under way: the connection ended, or could not be made.

        Args:
            reason: how it ended.
            acknowledged: how many bytes the peer's kernel had.
        """

    @property
    def host(self) -> str:
        """The name or the address of the peer, without brackets."""
        return self._endpoint[0]

    @property
    def is_open(self) -> bool:
        """Whether messages can be written."""
        return self._kernel is not None and not self._at_end and not self._is_leaving

    def open(self) -> None:
        """Begin to make a connection, unless one exists or is being made."""
        if self._connecting is None and self._kernel is None and not self._is_closed:
            self._connecting = self.loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            addresses = await self._resolver.addresses(*self._endpoint)
            kernel = await first_reached(addresses, self._reach_one, self._options.connect_timeout_ms / 1000)
        except (OSError, Unavailable) as error:
            self._connecting = None
            self._resolver.forget(self._endpoint[0])
            self.lost(_reason(error), 0)
        else:
            self._connecting = None
            self._kernel = kernel
            self._queued = self._buffered = 0
            self._is_reported = self._at_end = self._is_leaving = self._has_shut = False
            self._problem = None
            self.loop.add_reader(kernel, self._read)
            self._age.begins(self._options.max_connection_age_s, self._exchange)
            self.opened()

    async def _reach_one(self, address: HostAddress) -> socket.socket:
        kernel = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await self.loop.sock_connect(kernel, address.sockaddr)
            _set_up(kernel, self._options)
            self._ends = kernel.getpeername()[:2], kernel.getsockname()[:2]
        except BaseException:
            kernel.close()
            raise
        self._address = address
        return kernel

    def addresses_changed(self, addresses: Iterable[HostAddress]) -> None:
        """Leave a connection whose peer is not among *addresses*, the new ones of the host."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = self.loop.create_task(self._connect())
        elif self._address is not None and self._address.ip not in {each.ip for each in addresses}:
            self._exchange()

    def _exchange(self) -> None:
        if self.is_open:
            self._is_leaving = True
            self.leave()

    @abstractmethod
    def leave(self) -> None:
        """Write nothing more on the connection, and end it when what is under way is over; then open another one."""

    def write_chunk(self, chunk: Chunk) -> None:
        """Queue the messages of *chunk* on the open connection."""
        self._is_reported |= not chunk.is_meta
        chunk.end = self.write(chunk.data)

    def write(self, data: bytes) -> int:
        """Queue *data* on the open connection; return where it ends."""
        self._queued += len(data)
        self._buffered += len(data)
        self._buffer.append(memoryview(data))
        end = self._queued
        if not self._writing:
            self._flush()
        return end

    def _flush(self) -> None:
        kernel = self._kernel
        assert kernel is not None
        buffer = self._buffer
        try:
            while buffer and self._problem is None:
                sent = kernel.send(buffer[0])
                self._buffered -= sent
                if sent == len(buffer[0]):
                    buffer.popleft()
                else:
                    buffer[0] = buffer[0][sent:]
        except (BlockingIOError, InterruptedError):
            if not self._writing:
                self._writing = True
                self.loop.add_writer(kernel, self._flush)
            return
        except OSError as error:
            # The kernel reports an error once: what is read from here on looks like an end in good order.
            self._problem = connection_problem(error)
            # Not from within `write`: its caller is changing its records.
            self.loop.call_soon(self._read_rest, kernel)
        self._stop_writing(kernel)

    def _stop_writing(self, kernel: socket.socket) -> None:
        if self._writing:
            self._writing = False
            self.loop.remove_writer(kernel)

    def _read(self) -> bool:
        """Take what the peer has sent; return whether there was anything."""
        kernel = self._kernel
        assert kernel is not None
        try:
            data = kernel.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._drop(kernel, self._problem or connection_problem(error))
            return False
        if data:
            self.received(data)
            return True
        if self._problem is not None or (self.is_dead and not self._has_shut):
            self._drop(kernel, self._problem or "reset")
        else:
            self.ended()
        return False

    def _read_rest(self, kernel: socket.socket) -> None:
        """Take what the peer sent before its connection failed, then end it."""
        while kernel is self._kernel and self._read():
            pass
        self._drop(kernel, self._problem or "reset")

    @property
    def is_dead(self) -> bool:
        """Whether the connection was reset, or timed out: its state is *closed*, though this side has not closed it."""
        assert self._kernel is not None
        return self._kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE

    def ended(self) -> None:
        """End the connection: the peer sends nothing any more."""
        assert self._kernel is not None
        self._drop(self._kernel, "closed")

    def stop(self) -> None:
        """Read and write no more, and leave the connection as it is."""
        assert self._kernel is not None
        self._at_end = True
        self.loop.remove_reader(self._kernel)
        self._stop_writing(self._kernel)

    @property
    def acknowledged(self) -> int:
        """How many bytes of this connection the peer's kernel has."""
        return self._queued - self._buffered - self.unacknowledged

    @property
    def unacknowledged(self) -> int:
        """How many bytes this kernel has that the peer's kernel has not acknowledged."""
        assert self._kernel is not None
        return int(struct.unpack("i", fcntl.ioctl(self._kernel, termios.TIOCOUTQ, bytes(4)))[0])

    def _drop(self, kernel: socket.socket, reason: str) -> None:
        if kernel is not self._kernel:
            return
        acknowledged = self.acknowledged
        self.stop()
        self._kernel = None
        self._age.ends()
        self._buffer.clear()
        kernel.close()
        self._resolver.forget(self._endpoint[0])
        if self._is_reported and self._ends is not None and self.on_closed is not None:
            self.on_closed(*self._ends)
        self.lost(reason, acknowledged)

    def close(self) -> None:
        """Close the connection for good; what is under way is given back."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._kernel is None:
            self.lost("closed", 0)
        else:
            self._drop(self._kernel, "closed")


def _reason(error: OSError | Unavailable) -> str:
    if isinstance(error, Unavailable):
        return error.reason
    return "connect_timeout" if isinstance(error, TimeoutError) else connection_problem(error)


def _set_up(kernel: socket.socket, options: Options) -> None:
    """Have the kernel end the connection when the peer has vanished."""
    kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, options.user_timeout_ms)
    if options.keepalive_s:
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, options.keepalive_s)
        kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, options.keepalive_s // _PROBES))
        kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
