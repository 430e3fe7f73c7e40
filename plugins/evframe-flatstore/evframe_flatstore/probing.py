"""Whether a file would take a line, found out without making anything."""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import Final

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def is_special(name: str) -> bool:
    """Return whether *name* is a pipe or a device."""
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def check_name(name: str, *, makes_directories: bool) -> None:
    """Raise OSError unless a regular file called *name* can be opened, or made."""
    try:
        fd = os.open(name, _FLAGS)
    except FileNotFoundError:
        # A link may lead to a name that does not exist yet.
        check_folder(os.path.dirname(os.path.realpath(name)), makes_directories=makes_directories)
    else:
        os.close(fd)


def check_folder(path: str, *, makes_directories: bool) -> None:
    """Raise OSError unless a file can be made in the folder *path*, or the folder itself where that is permitted."""
    path = os.path.abspath(path)
    while makes_directories and not os.path.lexists(path):
        path = os.path.dirname(path)
    if not stat.S_ISDIR(os.stat(path).st_mode):
        raise _error(errno.ENOTDIR)
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise _error(errno.EROFS)
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        raise _error(errno.EACCES)


def check_open(fd: int) -> None:
    """Raise OSError if an open pipe has no reader or no room, or a device takes nothing."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISCHR(mode):
        os.write(fd, b"")
    elif stat.S_ISFIFO(mode):
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        state = dict(poll.poll(0)).get(fd, 0)
        if state & select.POLLERR:
            raise _error(errno.EPIPE)
        if not state & select.POLLOUT:
            raise _error(errno.EAGAIN)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
