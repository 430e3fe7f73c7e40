"""The FIFO that requests are read from."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from evframe_wire.endpoints import Access, OwnPath, clear_path

_AT_ONCE: Final = 65536


class Fifo:
    """A FIFO that this process has made, and reads from without waiting.

    It is open for writing too, so that there is always a reader, and no end when a writer closes.

    Args:
        path: where it is.
        access: who may use it.

    Raises:
        OSError: if the path is in use, or cannot be made.
    """

    def __init__(self, path: str, access: Access) -> None:
        clear_path(path, stat.S_IFIFO)
        os.mkfifo(path, 0o600)
        self._own = OwnPath(path)
        self.fd = -1
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            if not stat.S_ISFIFO(os.fstat(self.fd).st_mode):
                raise FileExistsError(errno.EEXIST, "expected the FIFO made a moment ago", path)
            access.give(self.fd)
        except BaseException:
            self.close()
            raise

    @property
    def is_there(self) -> bool:
        """Whether clients still find it at its path."""
        return self._own.is_there

    def read(self) -> bytes:
        """Return what has arrived, or nothing."""
        try:
            return os.read(self.fd, _AT_ONCE)
        except BlockingIOError:
            return b""

    def remove_path(self) -> None:
        """Have no more clients find it."""
        self._own.remove()

    def close(self) -> None:
        """Close it, and remove its path."""
        self.remove_path()
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)
