"""An old file is replaced by its compressed form; each line is in one of them at any time."""

from __future__ import annotations

import fcntl
import gzip
import os
from collections.abc import Callable
from io import FileIO
from typing import BinaryIO, Final

from evframe_flatstore.file import LineFile
from evframe_flatstore.names import PACKED, PART
from evframe_flatstore.open_file import FLAGS

_CHUNK: Final = 1 << 18
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class StoppedError(Exception):
    """The transport stops: what is unfinished is done at the next start."""


class Compressor:
    """Compresses old files.

    Args:
        is_stopped: whether to break off.
    """

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        self._is_stopped = is_stopped

    def compress(self, file: LineFile, name: str) -> None:
        """Replace the old file called *name*, at once, unless another process compresses it.

        Raises:
            StoppedError: when it was broken off.
        """
        part = name + PART
        raw = _claimed(part)
        if raw is None:
            return
        with raw:
            try:
                if os.path.exists(name):  # else another one has compressed it since
                    self._replace(file, name, raw)
            finally:
                if _is_at(raw, part):
                    os.unlink(part)

    def _replace(self, file: LineFile, name: str, raw: BinaryIO) -> None:
        has_packed = os.path.exists(name + PACKED)
        if has_packed and _holds(name + PACKED, name):
            remove(file, name, os.path.getsize(name))  # a process ended between the two
        else:
            _exchange(file, name, self._pack(name, raw, has_packed=has_packed))

    def _pack(self, name: str, raw: BinaryIO, *, has_packed: bool) -> int:
        """Write the compressed form, behind an earlier one; return how many bytes of the plain file it has."""
        with open(name, "rb") as plain:
            status = os.fstat(plain.fileno())
            os.fchmod(raw.fileno(), status.st_mode & 0o777)
            if has_packed:
                with open(name + PACKED, "rb") as before:
                    self._copy(before, raw)
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=int(status.st_mtime)) as packed:
                self._copy(plain, packed)  # type: ignore[arg-type]
            raw.flush()
            # The time of the plain file marks the form that has its lines: see `_holds`.
            status = os.fstat(plain.fileno())
            os.utime(raw.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(raw.fileno())
            return plain.tell()

    def _copy(self, source: BinaryIO, target: BinaryIO) -> None:
        while chunk := source.read(_CHUNK):
            if self._is_stopped():
                raise StoppedError
            target.write(chunk)


def remove(file: LineFile, name: str, size: int) -> bool:
    """Delete an old file of *size* bytes; return False when lines were appended to it since."""
    with file.old_file(name, size) as is_unchanged:
        if is_unchanged:
            os.unlink(name)
        return is_unchanged


def remove_part(part: str) -> None:
    """Delete an unfinished compressed file, unless a process is at work on it."""
    raw = _claimed(part)
    if raw is not None:
        with raw:
            os.unlink(part)


def _exchange(file: LineFile, name: str, size: int) -> None:
    """Make the part the compressed form of an old file and delete that, unless lines were appended to it since.

    Lines that come in between are in a new file of the name.
    """
    with file.old_file(name, size) as is_unchanged:
        if is_unchanged:
            with open(name, "rb", buffering=0) as plain:
                plain.seek(size)
                os.rename(name + PART, name + PACKED)
                _flush_folder(name)
                os.unlink(name)
                _put_back(plain, name)
                _flush_folder(name)  # which gives time to lines that another process was writing
                _put_back(plain, name)


def _put_back(plain: FileIO, name: str) -> None:
    """Append to a new file called *name* what others have appended to *plain* since it was compressed."""
    rest = plain.readall()
    if rest:
        mode = os.fstat(plain.fileno()).st_mode & 0o777
        with open(os.open(name, FLAGS, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(rest)


def _flush_folder(name: str) -> None:
    """Have the disk take new names before old ones are deleted."""
    folder = os.open(os.path.dirname(name) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _claimed(part: str) -> BinaryIO | None:
    """Return an unfinished file, emptied, for its holder alone; None while another one, of any process, has it."""
    raw = open(os.open(part, _NEW, 0o600), "wb")  # noqa: SIM115 the caller closes it
    try:
        fcntl.flock(raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raw.close()
        return None
    if not _is_at(raw, part):  # it was renamed or deleted before the lock was free
        raw.close()
        return None
    raw.truncate(0)
    return raw


def _is_at(raw: BinaryIO, path: str) -> bool:
    """Return whether the open file is the one called *path*."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(raw.fileno()))
    except FileNotFoundError:
        return False


def _holds(packed: str, plain: str) -> bool:
    """Return whether a compressed file, which was made of the plain one, ends with its lines."""
    if os.stat(packed).st_mtime_ns != os.stat(plain).st_mtime_ns:
        return False
    size = os.path.getsize(plain)
    try:
        with gzip.open(packed) as unpacked, open(plain, "rb") as lines:
            total = unpacked.seek(0, os.SEEK_END)
            unpacked.seek(max(0, total - size))
            while chunk := lines.read(_CHUNK):
                if unpacked.read(len(chunk)) != chunk:
                    return False
    except (EOFError, gzip.BadGzipFile):
        return False
    return total >= size
