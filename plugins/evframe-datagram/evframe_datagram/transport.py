"""Sending: one connected kernel socket per subscriber, bursts through UDP segmentation."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Awaitable
from typing import Any, Final

from evframe import Batch, Rejected, Socket, Unavailable, hookimpl
from evframe.context import PluginContext
from evframe.subscriptions.names import HostAddress
from evframe.subscriptions.resolving import Resolver
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
        self._resolver = Resolver()
        self._chosen: dict[str, tuple[tuple[HostAddress, ...], HostAddress]] = {}
        self._waiting: set[str] = set()
        self._segmentation = True

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins."""
        self._resolver = context.resolver

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``udp:`` and ``unix:`` sockets."""
        return parse(scheme, rest)

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one datagram per event."""
        if isinstance(socket, UdpSocket):
            address = socket.numeric or self._address(socket)
            if address is None:
                return self._resolve_and_send(socket, batch)
            self._send_udp(socket, batch, address)
            return True
        if isinstance(socket, UnixSocket):
            return self._send_unix(socket, batch)
        return None

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's kernel socket."""
        self._close(socket.canonical)
        self._chosen.pop(socket.canonical, None)

    def _address(self, target: UdpSocket) -> HostAddress | None:
        """Return where the datagrams for a name go, without waiting; None when it has to be looked up."""
        found = self._resolver.known(target.host, target.port)  # a name has no brackets
        return None if found is None else self._choose(target, found)

    def _choose(self, target: UdpSocket, found: tuple[HostAddress, ...]) -> HostAddress:
        """Return the address that was used before while the name has it; else the first one, of IPv4 if there is one.

        One subscriber's datagrams go to one address: the next one would be another reader.
        """
        before, chosen = self._chosen.get(target.canonical, ((), None))
        if before is found and chosen is not None:
            return chosen
        if chosen is None or chosen not in found:
            chosen = min(found, key=lambda address: address.family != socket.AF_INET)
        self._chosen[target.canonical] = found, chosen
        return chosen

    async def _resolve_and_send(self, target: UdpSocket, batch: Batch) -> None:
        found = await self._resolver.addresses(target.host, target.port)
        self._send_udp(target, batch, self._choose(target, found))

    def _forget(self, target: UdpSocket | UnixSocket) -> None:
        """Have the name of *target*, if it has one, looked up before the next batch."""
        if isinstance(target, UdpSocket) and target.numeric is None:
            self._resolver.forget(target.host)

    def _close(self, canonical: str) -> None:
        if canonical in self._open:
            self._open.pop(canonical)[0].close()

    def _connect(self, target: UdpSocket | UnixSocket, family: int, sockaddr: Any) -> socket.socket:
        key = target.canonical
        kernel, before = self._open.pop(key, (None, None))
        if kernel is not None and before is not sockaddr and before != sockaddr:
            kernel.close()  # the name has another address: what the kernel took is on its way
            kernel = None
        if kernel is None:
            try:
                kernel = self._make(family)
                kernel.connect(sockaddr)
            except OSError as error:
                if kernel is not None:
                    kernel.close()
                self._forget(target)
                raise Unavailable(errno.errorcode.get(error.errno or 0, "connect")) from None
        self._open[key] = (kernel, sockaddr)  # the last one is the one used last
        return kernel

    def _make(self, family: int) -> socket.socket:
        """Return a new kernel socket; at the limit of open files, those not used for longest make room."""
        try:
            return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        idle = [key for key in self._open if key not in self._waiting]
        for key in idle[:_EVICTED]:
            self._close(key)
        return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def _send_udp(self, target: UdpSocket, batch: Batch, address: HostAddress) -> None:
        kernel = self._connect(target, address.family, address.sockaddr)
        most = 65507 if address.family == socket.AF_INET else 65487
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
                elif size > most:
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
                    self._forget(target)
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
            self._forget(target)

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
        kernel = self._connect(target, socket.AF_UNIX, target.sockaddr)
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
