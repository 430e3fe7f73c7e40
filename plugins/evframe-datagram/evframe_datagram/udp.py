"""Sending over UDP: bursts through segmentation, and the errors that the kernel reports later."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Sequence
from socket import SO_ERROR, SOL_SOCKET
from typing import Final

import attrs
from evframe_wire.addresses import connection_problem

from evframe import Batch, Unavailable
from evframe.plugin import HostAddress
from evframe_datagram.address import UdpSocket
from evframe_datagram.kernel_sockets import KernelSockets, reason_of

_UDP_SEGMENT: Final = 103
_MAX_SEGMENTS: Final = 64
_MAX_BURST_BYTES: Final = 65000
_MAX_SEGMENT_BYTES: Final = 1400  # within the path MTU of an Ethernet
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
_REPORT_S: Final = 0.05  # in which a host reports that no process listens
_MOST_BYTES: Final[dict[int, int]] = {socket.AF_INET: 65507, socket.AF_INET6: 65487}


@attrs.frozen
class _Datagrams:
    """The datagrams of one batch, and what they are sent with."""

    kernel: socket.socket
    target: UdpSocket
    batch: Batch
    payloads: Sequence[bytes]
    most: int
    """The longest that the protocol has, in bytes."""


class UdpSender:
    """Sends batches as datagrams of UDP.

    Args:
        sockets: the kernel sockets of the transport.
        forget: has the name of a socket looked up before the next batch.
    """

    def __init__(self, sockets: KernelSockets, forget: Callable[[UdpSocket], None]) -> None:
        self._sockets = sockets
        self._forget = forget
        self._segmentation = True
        self.doubtful: set[str] = set()
        """The kept subscribers whose peers could not be reached; see `send_carefully`."""

    def send(self, target: UdpSocket, batch: Batch, payloads: Sequence[bytes], address: HostAddress) -> None:
        """Send one datagram per event.

        Args:
            target: the subscriber's socket.
            batch: gets the outcomes.
            payloads: of the datagrams; an empty one is not sent, and its event has its outcome already.
            address: that of the peer.

        Raises:
            Unavailable: if the kernel takes no more, or did not bring to the peer what is kept.
        """
        kernel = self._connect(target, address)
        most = _MOST_BYTES[address.family]
        if len(payloads) == 1 and 0 < len(payloads[0]) <= most:
            self._send_one(kernel, target, batch, most, payloads[0])
        else:
            self._send_all(_Datagrams(kernel, target, batch, payloads, most), range(len(payloads)))

    async def send_carefully(
        self, target: UdpSocket, batch: Batch, payloads: Sequence[bytes], address: HostAddress
    ) -> None:
        """Send the first event alone, and the others unless the peer's host reports that no process listens.

        From another host the report comes when what was sent counts as delivered already. The arguments are those of
        `send`.

        Raises:
            Unavailable: see `send`.
        """
        kernel = self._connect(target, address)
        datagrams = _Datagrams(kernel, target, batch, payloads, _MOST_BYTES[address.family])
        first = next((index for index, payload in enumerate(payloads) if payload), 0)
        self._sockets.waiting.add(target.canonical)
        try:
            kernel.getsockopt(SOL_SOCKET, SO_ERROR)  # a report on an earlier attempt
            self._send_all(datagrams, range(first, first + 1))
            await asyncio.sleep(_REPORT_S)
            self._send_all(datagrams, range(first, first))
        finally:
            self._sockets.waiting.discard(target.canonical)
        self.doubtful.discard(target.canonical)
        self._send_all(datagrams, range(first + 1, len(payloads)))

    def _connect(self, target: UdpSocket, address: HostAddress) -> socket.socket:
        try:
            return self._sockets.connect(target.canonical, address.family, address.sockaddr)
        except OSError as error:
            self._forget(target)
            raise Unavailable(connection_problem(error)) from None

    def _send_one(self, kernel: socket.socket, target: UdpSocket, batch: Batch, most: int, payload: bytes) -> None:
        """Send the only event of a batch: as `_send_all` does, without the lists, which take longer than the rest."""
        try:
            kernel.send(payload)
        except BlockingIOError:
            raise Unavailable("send_buffer_full") from None
        except OSError as error:
            reports: list[int] = []
            if self._may_be_repeated(error.errno, 1, reports):
                self._send_all(_Datagrams(kernel, target, batch, [payload], most), range(1), reports)
                return
            self._fail(target, batch, range(1), error.errno)
        reported = kernel.getsockopt(SOL_SOCKET, SO_ERROR)
        if reported in _REPORTED:
            self._fail(target, batch, range(1), reported)

    def _send_all(self, datagrams: _Datagrams, part: range, reports: list[int] | None = None) -> None:
        """Send *part* of a batch; *reports* are those of the kernel that it may be about to repeat."""
        kernel, target, batch = datagrams.kernel, datagrams.target, datagrams.batch
        payloads, most = datagrams.payloads, datagrams.most
        reports = [] if reports is None else reports
        send = kernel.send
        sizes = [*map(len, payloads), _MAX_SEGMENT_BYTES + 1]
        index = previous = part.start
        total = part.stop
        while index < total:
            size = sizes[index]
            if not 0 < size <= most:
                index = _skip(batch, index, size)
                continue  # nothing was sent: a report that comes next is on what was sent before
            # Only what is followed by an equal or a shorter payload can begin a burst.
            count = self._burst(sizes, index, total) if sizes[index + 1] <= size and self._segmentation else 1
            try:
                if count > 1:
                    burst = b"".join(payloads[index : index + count])
                    kernel.sendmsg([burst], [(socket.SOL_UDP, _UDP_SEGMENT, struct.pack("H", size))])
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
        reported = kernel.getsockopt(SOL_SOCKET, SO_ERROR)
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
        """Count the events *failed* with an error of the system, or have them and those behind sent again if kept."""
        if batch.is_kept and number != errno.EMSGSIZE:
            self.doubtful.add(target.canonical)
            self._forget(target)
            raise Unavailable(reason_of(number), done=failed.start)
        # A report on the first datagram belongs to an earlier batch: it is counted on this event.
        for index in failed or (failed.start,):
            if index not in batch.failures:
                batch.fail(index, reason_of(number))
        if number != errno.EMSGSIZE:
            self._forget(target)

    @staticmethod
    def _burst(sizes: list[int], index: int, total: int) -> int:
        """Return how many payloads from *index* fit one segmented send: equal sizes, a shorter last one."""
        size = sizes[index]
        if size > _MAX_SEGMENT_BYTES:
            return 1
        stop = min(total, index + _MAX_SEGMENTS, index + _MAX_BURST_BYTES // size)
        if sizes[stop - 1] == size and sizes[index:stop].count(size) == stop - index:
            return stop - index  # as most bursts are; the loop takes five times longer
        position = index + 1
        while position < stop:
            length = sizes[position]
            if length != size:
                return position - index + (length < size)
            position += 1
        return position - index


def _skip(batch: Batch, index: int, size: int) -> int:
    """Return the index after that of a datagram which is not sent; one that is too large fails."""
    if size:
        batch.fail(index, "too_large")
    return index + 1
