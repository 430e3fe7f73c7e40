"""The kernel sockets of the subscribers, one for each, connected to its peer."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from heapq import nsmallest
from typing import Any, Final

import attrs
from evframe_wire.addresses import connection_problem

_EVICTED: Final = 16


@attrs.define
class _Open:
    """A kernel socket."""

    kernel: socket.socket
    sockaddr: Any
    """What it is connected to."""
    used: int
    """When it was used last, as a number that grows with each use of any."""


class KernelSockets:
    """Kernel sockets by the canonical text of their subscribers' sockets."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._uses = 0
        self.waiting: set[str] = set()
        """Those that wait for room, and stay open meanwhile."""

    def __iter__(self) -> Iterator[socket.socket]:
        return (opened.kernel for opened in self._open.values())

    def connect(self, key: str, family: int, sockaddr: Any) -> socket.socket:
        """Return the kernel socket of a subscriber, connected to *sockaddr*.

        Raises:
            OSError: if it cannot be connected.
        """
        self._uses += 1
        opened = self._open.get(key)
        if opened is not None:
            if opened.sockaddr is sockaddr or opened.sockaddr == sockaddr:
                opened.used = self._uses
                return opened.kernel
            self.close(key)  # the name has another address: what the kernel took is on its way
        kernel = self._make(family)
        try:
            kernel.connect(sockaddr)
        except OSError:
            kernel.close()
            raise
        self._open[key] = _Open(kernel, sockaddr, self._uses)
        return kernel

    def close(self, key: str) -> None:
        """Close the kernel socket of a subscriber, if it has one."""
        if key in self._open:
            self._open.pop(key).kernel.close()

    def copy(self, kernel: socket.socket) -> socket.socket:
        """Return another descriptor of *kernel*, which stays open when that one is closed.

        Raises:
            OSError: if *kernel* is closed, or no file can be opened.
        """
        return self._opened(kernel.dup)

    def _make(self, family: int) -> socket.socket:
        return self._opened(lambda: socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))

    def _opened(self, make: Callable[[], socket.socket]) -> socket.socket:
        """Return what *make* returns; at the limit of open files, the sockets not used for longest make room."""
        try:
            return make()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        idle = [key for key in self._open if key not in self.waiting]
        for key in nsmallest(_EVICTED, idle, key=lambda key: self._open[key].used):
            self.close(key)
        return make()


def reason_of(number: int | None) -> str:
    """Return the reason of an event that the kernel did not take, or did not bring to the peer."""
    return connection_problem(OSError(number or 0, ""))
