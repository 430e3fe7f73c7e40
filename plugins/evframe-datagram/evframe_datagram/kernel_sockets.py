"""The kernel sockets of the subscribers, one for each, connected to its peer."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any, Final

from evframe_wire.addresses import connection_problem

_EVICTED: Final = 16


class KernelSockets:
    """Kernel sockets by the canonical text of their subscribers' sockets."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[socket.socket, Any]] = {}
        self.waiting: set[str] = set()
        """Those that wait for room, and stay open meanwhile."""

    def __iter__(self) -> Iterator[socket.socket]:
        return (kernel for kernel, _ in self._open.values())

    def connect(self, key: str, family: int, sockaddr: Any) -> socket.socket:
        """Return the kernel socket of a subscriber, connected to *sockaddr*.

        Raises:
            OSError: if it cannot be connected.
        """
        opened = self._open.pop(key, None)
        if opened is not None:
            kernel, before = opened
            if before is sockaddr or before == sockaddr:
                self._open[key] = opened  # the last one is the one used last
                return kernel
            kernel.close()  # the name has another address: what the kernel took is on its way
        kernel = self._make(family)
        try:
            kernel.connect(sockaddr)
        except OSError:
            kernel.close()
            raise
        self._open[key] = (kernel, sockaddr)
        return kernel

    def close(self, key: str) -> None:
        """Close the kernel socket of a subscriber, if it has one."""
        if key in self._open:
            self._open.pop(key)[0].close()

    def _make(self, family: int) -> socket.socket:
        """Return a new kernel socket; at the limit of open files, those not used for longest make room."""
        try:
            return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        idle = [key for key in self._open if key not in self.waiting]
        for key in idle[:_EVICTED]:
            self.close(key)
        return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


def reason_of(number: int | None) -> str:
    """Return the reason of an event that the kernel did not take, or did not bring to the peer."""
    return connection_problem(OSError(number or 0, ""))
