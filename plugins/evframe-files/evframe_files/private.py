"""Files that only their owner may read, the lock that keeps other processes from one, and a name for a damaged one."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from itertools import chain, count
from typing import Final

MODE: Final = 0o600


def open_private(path: str, flags: int) -> int:
    """Return a descriptor of a file that is its owner's alone, whatever its mode was; it is made if it is missing."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, MODE)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "expected a regular file")
        os.fchmod(descriptor, MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def lock(path: str) -> int:
    """Return a descriptor of the private file *path* that keeps other processes from it until it is closed.

    Raises:
        OSError: if it cannot be used, or another process uses it; this does not wait.
    """
    descriptor = open_private(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OSError(errno.EAGAIN, "another process uses it") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def sync_folder(path: str) -> None:
    """Wait until the disk has the name of the file *path*, where the file system can say so."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(folder)
    finally:
        os.close(folder)


def name_aside(path: str) -> str:
    """Return a free name beside *path* for a damaged file."""
    names = chain((f"{path}.damaged",), (f"{path}.damaged.{number}" for number in count(1)))
    return next(each for each in names if not os.path.lexists(each))
