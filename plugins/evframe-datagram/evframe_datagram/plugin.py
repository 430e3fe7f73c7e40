"""Sending: one connected kernel socket per subscriber, bursts through UDP segmentation."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Awaitable
from typing import Any, Final

from evframe_wire.addresses import connection_problem

from evframe import Batch, Socket, Unavailable, hookimpl
from evframe.plugin import HostAddress, Limits, PluginContext, Resolver
from evframe_datagram.address import UdpSocket, UnixSocket, parse

_UDP_SEGMENT: Final = 103
_MAX_SEGMENTS: Final = 64
_MAX_BURST_BYTES: Final = 65000
_MAX_SEGMENT_BYTES: Final = 1400  # within the path MTU of an Ethernet
_EVICTED: Final = 16
_REPORTED: Final = {
    errno.ECONNREFUSED,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.ENONET,
    errno.EPROTO,
    errno.EOPNOTSUPP,
}
_MOST_REPORTS: Final = 2
_AWAY: Final = {errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE, errno.EMFILE}


class DatagramTransport:
    """The plugin object."""

    schemes = ("udp", "unix")
    limits = Limits(at_once=True)  # sends that do not wait

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
                raise Unavailable(connection_problem(error)) from None
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
        if len(batch.events) == 1 and len(batch.events[0].payload) <= most:
            self._send_one(kernel, target, batch, most)
        else:
            self._send_all(kernel, target, batch, most, [])

    def _send_one(self, kernel: socket.socket, target: UdpSocket, batch: Batch, most: int) -> None:
        """Send the only event of a batch: as `_send_all` does, without the lists, which take longer than the rest."""
        reports: list[int] = []
        try:
            kernel.send(batch.events[0].payload)
        except BlockingIOError:
            raise Unavailable("send_buffer_full") from None
        except OSError as error:
            if self._may_be_repeated(error.errno, 1, reports):
                self._send_all(kernel, target, batch, most, reports)
                return
            self._fail(target, batch, range(1), error.errno)
        reported = kernel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if reported in _REPORTED:
            self._fail(target, batch, range(1), reported)

    def _send_all(self, kernel: socket.socket, target: UdpSocket, batch: Batch, most: int, reports: list[int]) -> None:
        """Send the events of a batch; *reports* are those of the kernel that it may be about to repeat."""
        send = kernel.send
        payloads = [event.payload for event in batch.events]
        sizes = [*map(len, payloads), _MAX_SEGMENT_BYTES + 1]
        index = previous = 0
        total = len(payloads)
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
                if self._may_be_repeated(error.errno, count, reports):
                    continue
                start = previous if error.errno == errno.ECONNREFUSED else index  # which is always a report
                self._fail(target, batch, range(start, index + count), error.errno)
            else:
                if reports:
                    self._fail(target, batch, range(previous, index), reports[0])
                previous = index
            reports.clear()
            index += count
        reported = kernel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if reported in _REPORTED:
            self._fail(target, batch, range(previous, total), reported)

    def _may_be_repeated(self, number: int | None, count: int, reports: list[int]) -> bool:
        """Return whether a burst that the kernel did not send can be sent again now."""
        if number in _REPORTED and len(reports) < _MOST_REPORTS:
            reports.append(number)  # perhaps on what went out before
            return True
        if count > 1 and number in {errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT}:
            self._segmentation = False
            return True
        return False

    def _fail(self, target: UdpSocket, batch: Batch, failed: range, number: int | None) -> None:
        # A report on the first datagram belongs to an earlier batch: it is counted on this event.
        for index in failed or (failed.start,):
            if index not in batch.failures:
                batch.fail(index, _name(number))
        if number != errno.EMSGSIZE:
            self._forget(target)

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

    def _send_unix(self, target: UnixSocket, batch: Batch) -> Awaitable[None] | bool:
        kernel = self._connect(target, socket.AF_UNIX, target.sockaddr)
        events = batch.events
        index = 0
        while index < len(events):
            try:
                kernel.send(events[index].payload)
            except BlockingIOError:
                return self._wait_unix(target, batch, index, kernel)
            except OSError as error:
                self._blame(target, batch, index, error)
            index += 1
        return True

    def _blame(self, target: UnixSocket, batch: Batch, index: int, error: OSError) -> None:
        """Count the event that the kernel did not take as failed; raise Unavailable if the reader is gone."""
        if error.errno in _AWAY:
            self._close(target.canonical)
            raise Unavailable(connection_problem(error), done=index) from None
        batch.fail(index, _name(error.errno))

    async def _wait_unix(self, target: UnixSocket, batch: Batch, index: int, kernel: socket.socket) -> None:
        """Continue when the reader has made room; a reader that is gone shows as an error of the send."""
        events = batch.events
        room = _Room(kernel)
        self._waiting.add(target.canonical)
        try:
            while index < len(events):
                try:
                    kernel.send(events[index].payload)
                except BlockingIOError:
                    await room.wait()
                    continue
                except OSError as error:
                    room.close()  # before the kernel socket is
                    self._blame(target, batch, index, error)
                index += 1
        finally:
            self._waiting.discard(target.canonical)
            room.close()


class _Room:
    """Waits until a kernel socket takes more; the loop watches it from the first wait to the end.

    The kernel's queue of a reader has ten datagrams by default. To have the socket watched anew for each ten of a batch
    takes two more system calls.
    """

    def __init__(self, kernel: socket.socket) -> None:
        self._kernel = kernel
        self._loop = asyncio.get_running_loop()
        self._is_watched = False
        self._writable: asyncio.Future[None] = self._loop.create_future()

    async def wait(self) -> None:
        """Return when the kernel socket takes more."""
        self._writable = self._loop.create_future()
        if not self._is_watched:
            self._is_watched = True
            self._loop.add_writer(self._kernel, self._take)
        await self._writable

    def _take(self) -> None:
        if not self._writable.done():
            self._writable.set_result(None)

    def close(self) -> None:
        """Watch no more."""
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_writer(self._kernel)


def _name(number: int | None) -> str:
    """Return the reason of an event that the kernel did not take, or did not bring to the peer."""
    return connection_problem(OSError(number or 0, ""))
