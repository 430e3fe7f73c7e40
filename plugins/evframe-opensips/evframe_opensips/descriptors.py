"""Sockets that another process has bound and holds, such as systemd: they keep what arrives during a restart."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import Final

_FIRST: Final = 3  # of the descriptors, as sd_listen_fds(3) has it
_MOST: Final = 4096


def handed_over(name: str, environ: Mapping[str, str] = os.environ) -> socket.socket | None:
    """Return a socket for the descriptor *name* of this process; None when there is none.

    The descriptors are those of ``LISTEN_FDS`` with their names in ``LISTEN_FDNAMES``, which are for this
    process when ``LISTEN_PID`` is its id. The socket is a duplicate: the descriptor stays open, so that a
    reload can take it again.

    Raises:
        OSError: if several descriptors have the name, or the descriptor is no socket.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if not (count.isascii() and count.isdigit() and int(count) <= _MOST):
        return None
    found = [_FIRST + index for index, each in enumerate(names[: int(count)]) if each == name]
    if not found:
        return None
    if len(found) > 1:
        raise OSError(errno.EINVAL, f"expected one descriptor with the name {name!r}, got {len(found)}")
    os.set_inheritable(found[0], False)
    sock = socket.socket(fileno=os.dup(found[0]))
    sock.setblocking(False)
    return sock
