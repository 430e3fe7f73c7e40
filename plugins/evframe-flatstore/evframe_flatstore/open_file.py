"""A file that is open for appending: whole lines, and what to do with a line that the disk took in part."""

from __future__ import annotations

import os
import stat
from typing import Final

from evframe_flatstore.probing import check_open

FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class AppendError(Exception):
    """The first *lines* lines of those to append are written, the others are not because of *error*."""

    def __init__(self, lines: int, error: OSError) -> None:
        super().__init__(lines, error)
        self.lines = lines
        self.error = error


class OpenFile:
    """One file after another, each open for appending.

    Args:
        mode: the permissions of a new file.
        fsync: whether the disk confirms what is appended to a regular file.
    """

    def __init__(self, mode: int, *, fsync: bool) -> None:
        self._mode = mode
        self._fsync = fsync
        self._fd: int | None = None
        self.name = ""
        self.identity = (0, 0)
        """The device and the inode."""
        self.is_regular = True
        self.size = 0
        self.unwritten = b""
        """What is written before the next lines: the end of a line that the disk took in part, or a first line."""

    @property
    def is_open(self) -> bool:
        """Whether lines can be appended."""
        return self._fd is not None

    def open(self, name: str) -> None:
        """Open the file called *name*, or make it, and close the one before."""
        fd = os.open(name, FLAGS, self._mode)
        found = os.fstat(fd)
        identity = (found.st_dev, found.st_ino)
        self.close()
        if identity != self.identity:
            self.unwritten = b""
        self._fd, self.name, self.identity, self.size = fd, name, identity, found.st_size
        self.is_regular = stat.S_ISREG(found.st_mode)

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def close_if_moved(self) -> None:
        """Close a file that was renamed or removed."""
        try:
            found = os.stat(self.name)
        except FileNotFoundError:
            self.close()
        else:
            self.size = found.st_size
            if (found.st_dev, found.st_ino) != self.identity:
                self.close()

    def check(self) -> None:
        """Raise OSError if an open pipe has no reader or no room, or a device takes nothing."""
        assert self._fd is not None
        check_open(self._fd)

    def append(self, lines: bytes) -> None:
        """Append *lines*.

        Raises:
            AppendError: with the number of whole lines written.
        """
        assert self._fd is not None
        data = self.unwritten + lines if self.unwritten else lines
        before = len(self.unwritten)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
            self.unwritten = b""
            if self._fsync and self.is_regular:
                written = 0
                os.fsync(self._fd)
                written = len(data)
        except OSError as error:
            raise AppendError(self._whole(data, written, before), error) from None
        finally:
            self.size += written

    def _whole(self, data: bytes, written: int, before: int) -> int:
        """Return how many lines count as written when the disk took *written* bytes of *data*.

        Args:
            data: what was to be written.
            written: how many bytes the disk took.
            before: how many bytes of *data* are no new line.
        """
        if written < before:
            self.unwritten = data[written:before]
            return 0
        self.unwritten = b""
        begin = data.rfind(b"\n", 0, written) + 1
        whole = data.count(b"\n", before, written)
        if begin == written:
            return whole
        if self._cut(written - begin):
            return whole
        self.unwritten = data[written : data.index(b"\n", written) + 1]
        return whole + 1

    def _cut(self, torn: int) -> bool:
        """Take the last *torn* bytes, the start of a line, off the file again; False when others wrote since."""
        assert self._fd is not None
        if not self.is_regular:
            return False
        try:
            position = os.lseek(self._fd, 0, os.SEEK_CUR)
            if os.fstat(self._fd).st_size != position:
                return False
            os.ftruncate(self._fd, position - torn)
        except OSError:
            return False
        return True
