"""Sending: one connected kernel socket per subscriber, bursts through UDP segmentation."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Awaitable
from typing import Any, Final

from evframe import Batch, Rejected, Socket, Unavailable, hookimpl
from evframe_datagram.address import UdpSocket, UnixSocket, parse

_UDP_SEGMENT: Final = 103
_MAX_SEGMENTS: Final = 64
_MAX_BURST_BYTES: Final = 65000
_MAX_SEGMENT_BYTES: Final = 1400  # within the path MTU of an Ethernet
_EVICTED: Final = 16
_AWAY: Final = {errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE, errno.EMFILE}


class DatagramTransport:
    """The plugin object."""

    schemes = ("udp", "unix")

    def __init__(self) -> None:
        self._open: dict[str, tuple[socket.socket, Any]] = {}
        self._waiting: set[str] = set()
        self._segmentation = True

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``udp:`` and ``unix:`` sockets."""
        return parse(scheme, rest)

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one datagram per event."""
        if isinstance(socket, UdpSocket):
            self._send_udp(socket, batch)
            return True
        if isinstance(socket, UnixSocket):
            return self._send_unix(socket, batch)
        return None

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's kernel socket."""
        self._close(socket.canonical)

    def _close(self, canonical: str) -> None:
        if canonical in self._open:
            self._open.pop(canonical)[0].close()

    def _connect(self, target: UdpSocket | UnixSocket) -> socket.socket:
        key = target.canonical
        kernel, address = self._open.pop(key, (None, None))
        if kernel is not None and address is not target.address and address != target.address:
            kernel.close()  # the name has another address since the subscription was renewed
            kernel = None
        if kernel is None:
            try:
                kernel = self._make(target)
                kernel.connect(target.address)
            except OSError as error:
                if kernel is not None:
                    kernel.close()
                raise Unavailable(errno.errorcode.get(error.errno or 0, "connect")) from None
        self._open[key] = (kernel, target.address)  # the last one is the one used last
        return kernel

    def _make(self, target: UdpSocket | UnixSocket) -> socket.socket:
        """Return a new kernel socket; at the limit of open files, those not used for longest make room."""
        try:
            return socket.socket(target.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        idle = [key for key in self._open if key not in self._waiting]
        for key in idle[:_EVICTED]:
            self._close(key)
        return socket.socket(target.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def _send_udp(self, target: UdpSocket, batch: Batch) -> None:
        kernel = self._connect(target)
        send = kernel.send
        payloads = [event.payload for event in batch.events]
        sizes = [*map(len, payloads), _MAX_SEGMENT_BYTES + 1]
        index = previous = 0
        total = len(payloads)
        refused_in_row = 0
        while index < total:
            size = sizes[index]
            # Only what is followed by an equal or a shorter payload can begin a burst.
            count = self._burst(sizes, index, total) if sizes[index + 1] <= size and self._segmentation else 1
            try:
                if count > 1:
                    burst = b"".join(payloads[index : index + count])
                    kernel.sendmsg([burst], [(socket.SOL_UDP, _UDP_SEGMENT, struct.pack("H", size))])
                elif size > target.max_bytes:
                    batch.fail(index, "too_large")
                else:
                    send(payloads[index])
            except BlockingIOError:
                raise Unavailable("send_buffer_full", done=index) from None
            except OSError as error:
                if error.errno == errno.ECONNREFUSED and refused_in_row < 2:
                    # The kernel reports that what went out before was refused; this burst was not sent.
                    refused_in_row += 1
                    self._refuse(batch, previous, index)
                    continue
                if count > 1 and error.errno in {errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT}:
                    self._segmentation = False
                    continue
                if error.errno == errno.EMSGSIZE:
                    batch.fail(index, "too_large")
                    index += 1
                    continue
                raise Rejected(errno.errorcode.get(error.errno or 0, "send"), done=index) from None
            refused_in_row = 0
            previous = index
            index += count
        if kernel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED:
            self._refuse(batch, previous, total)

    @staticmethod
    def _refuse(batch: Batch, start: int, stop: int) -> None:
        # A report on the first datagram belongs to an earlier batch: it is counted on this event.
        for index in range(start, max(stop, start + 1)):
            if index not in batch.failures:
                batch.fail(index, "refused")

    @staticmethod
    def _burst(sizes: list[int], index: int, total: int) -> int:
        """Return how many payloads from *index* fit one segmented send: equal sizes, a shorter last one."""
        size = sizes[index]
        if size > _MAX_SEGMENT_BYTES:
            return 1
        stop = min(total, index + _MAX_SEGMENTS, index + _MAX_BURST_BYTES // size)
        position = index + 1
        while position < stop:
            length = sizes[position]
            if length != size:
                return position - index + (length < size)
            position += 1
        return position - index

    def _send_unix(self, target: UnixSocket, batch: Batch, index: int = 0) -> Awaitable[None] | bool:
        kernel = self._connect(target)
        events = batch.events
        try:
            while index < len(events):
                kernel.send(events[index].payload)
                index += 1
        except BlockingIOError:
            return self._wait_unix(target, batch, index, kernel)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                batch.fail(index, "too_large")
                return self._send_unix(target, batch, index + 1)
            self._close(target.canonical)
            name = errno.errorcode.get(error.errno or 0, "send")
            raise (Unavailable if error.errno in _AWAY else Rejected)(name, done=index) from None
        return True

    async def _wait_unix(self, target: UnixSocket, batch: Batch, index: int, kernel: socket.socket) -> None:
        """Go on when the reader has made room; a reader that is gone shows as an error of the send."""
        loop = asyncio.get_running_loop()
        events = batch.events
        while index < len(events):
            try:
                kernel.send(events[index].payload)
                index += 1
            except BlockingIOError:
                writable = loop.create_future()
                loop.add_writer(kernel, _set, writable)
                self._waiting.add(target.canonical)
                try:
                    await writable
                finally:
                    self._waiting.discard(target.canonical)
                    loop.remove_writer(kernel)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    batch.fail(index, "too_large")
                    index += 1
                    continue
                self._close(target.canonical)
                name = errno.errorcode.get(error.errno or 0, "send")
                raise (Unavailable if error.errno in _AWAY else Rejected)(name, done=index) from None


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
