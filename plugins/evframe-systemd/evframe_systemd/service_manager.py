"""The protocol of sd_notify(3): one datagram of lines, sent to the service manager."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger("evframe.systemd")


class ServiceManager:
    """The service manager that receives what a service says about itself.

    Args:
        address: as in ``NOTIFY_SOCKET``: a path, or the name of an abstract socket behind an ``@``.

    Raises:
        OSError: if no socket can be made.
    """

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._shown = address
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._is_reached = True

    def send(self, lines: str) -> bool:
        """Send *lines*, such as ``READY=1``, in one datagram, without waiting.

        Returns:
            Whether the datagram was sent; the first of several failures is logged.
        """
        try:
            self._sock.sendto(lines.encode(), self._address)
        except OSError as error:
            if self._is_reached:
                log.warning(
                    "the service manager cannot be notified", extra={"address": self._shown, "problem": str(error)}
                )
            self._is_reached = False
        else:
            self._is_reached = True
        return self._is_reached

    def close(self) -> None:
        """Close the socket; a second call does nothing."""
        self._sock.close()


def watchdog_usec(environment: Mapping[str, str]) -> int:
    """Return the interval of the watchdog in microseconds; 0 without a watchdog, and for one of another process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) if text.isascii() and text.isdecimal() else 0
