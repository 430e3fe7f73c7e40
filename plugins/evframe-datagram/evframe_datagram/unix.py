"""Sending over UNIX datagrams, whose reader may be slow: then the batch waits for room."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Sequence
from typing import Final

from evframe_wire.addresses import connection_problem

from evframe import Batch, Unavailable
from evframe_datagram.address import UnixSocket
from evframe_datagram.kernel_sockets import KernelSockets, reason_of

_AWAY: Final = {errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE, errno.EMFILE}


class UnixSender:
    """Sends batches as UNIX datagrams.

    Args:
        sockets: the kernel sockets of the transport.
    """

    def __init__(self, sockets: KernelSockets) -> None:
        self._sockets = sockets

    def send(self, target: UnixSocket, batch: Batch, payloads: Sequence[bytes]) -> Awaitable[None] | bool:
        """Send one datagram per event.

        Args:
            target: the subscriber's socket.
            batch: gets the outcomes.
            payloads: of the datagrams; an empty one is not sent, and its event has its outcome already.

        Raises:
            Unavailable: if the reader is gone, with the number of events that were sent.
        """
        try:
            kernel = self._sockets.connect(target.canonical, socket.AF_UNIX, target.sockaddr)
        except OSError as error:
            raise Unavailable(connection_problem(error)) from None
        for index, payload in enumerate(payloads):
            if not payload:
                continue
            try:
                kernel.send(payload)
            except BlockingIOError:
                return self._send_rest(target, batch, payloads, index, kernel)
            except OSError as error:
                self._fail(target, batch, index, error)
        return True

    def _fail(self, target: UnixSocket, batch: Batch, index: int, error: OSError) -> None:
        """Count the event that the kernel did not take as failed; raise Unavailable if the reader is gone.

        Of kept events, those fail that are too large.
        """
        if error.errno in _AWAY or (batch.is_kept and error.errno != errno.EMSGSIZE):
            self._sockets.close(target.canonical)
            raise Unavailable(connection_problem(error), done=index) from None
        batch.fail(index, reason_of(error.errno))

    async def _send_rest(
        self, target: UnixSocket, batch: Batch, payloads: Sequence[bytes], index: int, kernel: socket.socket
    ) -> None:
        """Continue when the reader has made room; a reader that is gone shows as an error of the send."""
        try:
            room = _Room(self._sockets.copy(kernel))
        except OSError as error:
            raise Unavailable(connection_problem(error), done=index) from None
        try:
            while index < len(payloads):
                try:
                    if payloads[index]:
                        room.kernel.send(payloads[index])
                except BlockingIOError:
                    await room.wait()
                    continue
                except OSError as error:
                    self._fail(target, batch, index, error)
                index += 1
        finally:
            room.close()


class _Room:
    """Waits until a kernel socket takes more; the loop watches it from the first wait until it is closed.

    Each batch has its own copy: the loop has one callback for a descriptor, and a batch of another subscriber of the
    same path, such as a member of a group or a replay, would replace it, or close the socket.

    The kernel's queue of a reader has ten datagrams by default. To have the socket watched anew for each ten of a batch
    takes two more system calls.
    """

    def __init__(self, kernel: socket.socket) -> None:
        self.kernel = kernel
        self._loop = asyncio.get_running_loop()
        self._is_watched = False
        self._writable: asyncio.Future[None] = self._loop.create_future()

    async def wait(self) -> None:
        """Return when the kernel socket takes more."""
        self._writable = self._loop.create_future()
        if not self._is_watched:
            self._is_watched = True
            self._loop.add_writer(self.kernel, self._take)
        await self._writable

    def _take(self) -> None:
        if not self._writable.done():
            self._writable.set_result(None)

    def close(self) -> None:
        """Watch no more, and close the kernel socket."""
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_writer(self.kernel)
        self.kernel.close()
