"""One connection to a peer: made when there is something to send, and again after it was lost."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import socket
import struct
import termios
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Final

from evframe import Batch
from evframe.sockets import connection_problem

Address = tuple[str, int]
_READ_BYTES: Final = 1 << 18
_SEND_TIMEOUT_S: Final = 30  # how long the peer's kernel may be silent about what was sent


class Chunk:
    """The messages of one batch on their way, and the future that ends with the batch."""

    __slots__ = ("batch", "end", "first_id", "future", "messages", "missing", "quiet", "size")

    def __init__(self, batch: Batch, messages: list[bytes], first_id: int = 0) -> None:
        self.batch = batch
        self.messages = messages
        self.size = sum(map(len, messages))
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.end = 0  # where it ends on the connection; 0 before it is written
        self.first_id = first_id
        self.missing = len(messages)
        self.quiet = all(event.definition.quiet for event in batch.events)

    def settle(self) -> None:
        """Tell that every event has its outcome."""
        if not self.future.done():
            self.future.set_result(None)

    def give_back(self, error: Exception) -> None:
        """Tell that the events which have no outcome can be tried again."""
        if not self.future.done():
            self.future.set_exception(error)


class Connection(ABC):
    """Reads and writes; what the bytes mean for the outcome of an event is up to a subclass.

    Args:
        name: the host; it is looked up for each connection anew.
        port: the TCP port.
        connect_timeout_s: for the look-up and the handshake together.
    """

    on_closed: Callable[[Address, Address], None] | None = None
    """Called with the peer's and the own address of each connection that ends, unless it carried quiet events alone."""

    def __init__(self, name: str, port: int, connect_timeout_s: float) -> None:
        self._name = name
        self._port = port
        self._connect_timeout_s = connect_timeout_s
        self._kernel: socket.socket | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._ends: tuple[Address, Address] | None = None
        self._is_told = False
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
        """Give back what is under way: the peer's kernel had *acknowledged* so many bytes when the connection ended."""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._kernel is not None

    def open(self) -> None:
        """Begin to make a connection, unless that is under way."""
        if self._connecting is None:
            self._connecting = self.loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                kernel = await self._reach()
        except OSError as error:
            self._connecting = None
            self.lost("connect_timeout" if isinstance(error, TimeoutError) else connection_problem(error), 0)
        else:
            self._connecting = None
            self._kernel = kernel
            self._queued = self._buffered = 0
            self._is_told = False
            self.loop.add_reader(kernel, self._read)
            self.opened()

    async def _reach(self) -> socket.socket:
        found = await self.loop.getaddrinfo(self._name, self._port, type=socket.SOCK_STREAM)
        last: OSError | None = None
        for family, kind, protocol, _, address in found:
            kernel = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
            try:
                await self.loop.sock_connect(kernel, address)
                kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                kernel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SEND_TIMEOUT_S * 1000)
                self._ends = kernel.getpeername()[:2], kernel.getsockname()[:2]
            except OSError as error:
                kernel.close()
                last = error
            except BaseException:
                kernel.close()
                raise
            else:
                return kernel
        raise last or OSError(errno.EHOSTUNREACH, "no address")

    def write_chunk(self, chunk: Chunk) -> None:
        """Queue the messages of *chunk* on the open connection."""
        self._is_told |= not chunk.quiet
        chunk.end = self.write(b"".join(chunk.messages))

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
            while buffer:
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
            # Not from within `write`: its caller is in the middle of its own records.
            self.loop.call_soon(self._drop, kernel, connection_problem(error))
            buffer.clear()
        if self._writing:
            self._writing = False
            self.loop.remove_writer(kernel)

    def _read(self) -> None:
        kernel = self._kernel
        assert kernel is not None
        try:
            data = kernel.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._drop(kernel, connection_problem(error))
            return
        if data:
            self.received(data)
        else:
            self._drop(kernel, "closed")

    @property
    def acknowledged(self) -> int:
        """How many bytes of this connection the peer's kernel has."""
        assert self._kernel is not None
        waiting = struct.unpack("i", fcntl.ioctl(self._kernel, termios.TIOCOUTQ, bytes(4)))[0]
        return self._queued - self._buffered - int(waiting)

    def _drop(self, kernel: socket.socket, reason: str) -> None:
        if kernel is not self._kernel:
            return
        acknowledged = self.acknowledged
        self._kernel = None
        self._buffer.clear()
        self.loop.remove_reader(kernel)
        if self._writing:
            self._writing = False
            self.loop.remove_writer(kernel)
        kernel.close()
        if self._is_told and self._ends is not None and self.on_closed is not None:
            self.on_closed(*self._ends)
        self.lost(reason, acknowledged)

    def close(self) -> None:
        """Close the connection for good; what is under way is given back."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._kernel is None:
            self.lost("closed", 0)
        else:
            self._drop(self._kernel, "closed")
