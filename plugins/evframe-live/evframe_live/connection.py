"""The writing side of a connection: what is written is in the kernel, or the writer waits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

KERNEL_BYTES: Final = 64 << 10
"""How many bytes may wait in the kernel for a client."""

_MOST_MS: Final = 2**31 - 1


class Connection:
    """One connection of a client, until it is closed.

    Args:
        transport: of the connection, that of a library.
        drain: returns when the library has nothing more to write, or the connection is lost.
        timeout_s: how long the client may take nothing, in seconds, before the connection is aborted.
        frame: makes of some bytes what is written for them, such as a chunk of HTTP.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        drain: Callable[[], Awaitable[None]],
        timeout_s: float,
        frame: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._transport = transport
        self._drain = drain
        self._timeout_s = timeout_s
        self._frame = frame
        self._has_written = False
        self._written = 0
        self.closing = asyncio.Event()
        """Set when the server ends the connection."""
        self.is_slow = False
        """Whether it was aborted, because the client has taken nothing."""
        self._bound()

    def _bound(self) -> None:
        """Bound what waits outside of the queue of the subscriber, and how long the network may be silent."""
        self._transport.set_write_buffer_limits(high=0)
        kernel = self._transport.get_extra_info("socket")
        if kernel is not None:
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
            kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, min(round(self._timeout_s * 1000), _MOST_MS))

    @property
    def is_open(self) -> bool:
        """Whether events can be written."""
        return not (self._transport.is_closing() or self.closing.is_set())

    @property
    def is_waiting(self) -> bool:
        """Whether the kernel does not have all that was written."""
        return bool(self._transport.get_write_buffer_size())

    @property
    def _taken(self) -> int:
        """How many bytes the kernel has; what waits grows while others write, too."""
        return self._written - self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> bool:
        """Write *data*; return whether the kernel has all of it, else `drained` is to be awaited."""
        self._has_written = True
        framed = self._frame(data)
        self._written += len(framed)
        self._transport.write(framed)
        return not (self.is_waiting or self._transport.is_closing())

    def beat(self, data: bytes) -> None:
        """Write *data* unless something was written since the last call."""
        if self.is_open and not self._has_written and not self.is_waiting:
            self.write(data)
        self._has_written = False

    async def drained(self) -> bool:
        """Wait until the kernel has what was written; return False when the connection is lost."""
        loop = asyncio.get_running_loop()
        taken = self._taken
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal taken, timer
            before, taken = taken, self._taken
            if taken <= before:
                self.abort()
            timer = loop.call_later(self._timeout_s, look)

        timer = loop.call_later(self._timeout_s, look)
        draining = asyncio.ensure_future(self._drain())
        draining.add_done_callback(_retrieve)
        try:
            await asyncio.shield(draining)  # the library has one future for all that wait
        except OSError as error:
            # The kernel may notice first that the client takes nothing; the library has its error as a cause.
            self.is_slow = self.is_slow or isinstance(error.__cause__ or error, TimeoutError)
            return False
        finally:
            timer.cancel()
        return not self._transport.is_closing()

    def abort(self) -> None:
        """End the connection at once, because the client takes nothing."""
        self.is_slow = True
        self._transport.abort()

    def close(self) -> None:
        """End the connection, once what is written has been sent."""
        self.closing.set()


def _retrieve(task: asyncio.Future[None]) -> None:
    """Take the error of a task that may have no reader any more."""
    if not task.cancelled():
        task.exception()
