"""How many datagrams the kernel had no room for at a socket."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from typing import Final

_SO_RXQ_OVFL: Final = 40  # of Linux, which Python has no name for
_MODULUS: Final = 1 << 32


class DropCounter:
    """Reads the kernel's own counter, which comes with a datagram as ancillary data: see `socket.recvmsg`.

    Args:
        sock: a datagram socket.
    """

    SPACE: Final = socket.CMSG_SPACE(4)
    """The bytes of ancillary data to ask for."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        self.total = 0
        """How many were dropped until the last datagram that was taken had come."""
        self._seen = 0

    def take(self, ancillary: Iterable[tuple[int, int, bytes]]) -> int:
        """Return how many more were dropped, as the *ancillary* data of a datagram has it."""
        more = 0
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                seen = int.from_bytes(data[:4], sys.byteorder)
                more = (seen - self._seen) % _MODULUS
                self._seen = seen
        self.total += more
        return more
