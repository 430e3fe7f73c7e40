"""The files before the current one: compressed, and deleted when there are too many or they are too old."""

from __future__ import annotations

import fcntl
import gzip
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import BinaryIO, Final

from evframe.plugin import LogLimiter
from evframe_flatstore.dates import wall_s
from evframe_flatstore.file import LineFile
from evframe_flatstore.names import PACKED, PART, DatedFile, Template, files_of
from evframe_flatstore.options import Options

log = logging.getLogger("evframe.flatstore")
_CHUNK: Final = 1 << 18
_MOST_WAITING: Final = 10_000
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class _StoppedError(Exception):
    """The transport stops: what is unfinished is done at the next start."""


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "flatstore-old")


class Keeper:
    """Keeps as many old files as the options have it, on one thread.

    Args:
        options: of the transport.
        zone: the time zone of the names; None for the machine's own.
        clock: the wall clock, in seconds since the epoch.
    """

    def __init__(self, options: Options, zone: tzinfo | None, clock: Callable[[], float]) -> None:
        self._options = options
        self._zone = zone
        self._clock = clock
        keeps = options.keep_files or options.keep_days or options.compress
        self._template = Template(options.suffix) if keeps and options.suffix is not None else None
        self._stopped = threading.Event()
        self._limiter = LogLimiter()
        self._mutex = threading.Lock()
        self._thread = _thread()
        self._free = threading.Semaphore(_MOST_WAITING)

    @property
    def has_work(self) -> bool:
        """Whether the options have old files compressed or deleted."""
        return self._template is not None

    def look(self, file: LineFile) -> bool:
        """Have the thread look at the files before the current one of *file*; return False when too many wait."""
        if not self.has_work or self._stopped.is_set():
            return True
        free = self._free
        if not free.acquire(blocking=False):
            return False
        with suppress(RuntimeError):  # the interpreter is about to end
            self._thread.submit(self._look, file, free)
        return True

    def _look(self, file: LineFile, free: threading.Semaphore) -> None:
        free.release()
        self._tidy(file)

    def start(self) -> None:
        """Begin to look at files, after `stop`, too."""
        self._stopped.clear()

    def stop(self) -> None:
        """Break off; a file that is being compressed stays as it is."""
        self._stopped.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._thread = _thread()
        self._free = threading.Semaphore(_MOST_WAITING)

    def _tidy(self, file: LineFile) -> None:
        try:
            with self._mutex:  # one thread may end while the next one begins
                if file.has_ended:
                    return  # another one may write to the path, and looks itself
                for old in self._keep(file):
                    if self._options.compress and old.plain is not None:
                        self._compress(file, old)
        except _StoppedError:
            pass
        except OSError as error:
            if self._limiter.due(file.path) is not None:
                extra = {"path": file.path, "reason": error.strerror or str(error)}
                log.warning("old files cannot be compressed or deleted", extra=extra)

    def _keep(self, file: LineFile) -> list[DatedFile]:
        """Delete what need not be kept; return the other files before the current one."""
        assert self._template is not None
        now = self._clock()
        shift_s = wall_s(now, self._zone) - int(now)
        found, parts = files_of(file.path, self._template, shift_s)
        for part in parts:
            left = _claimed(part)
            if left is not None:
                with left:
                    os.unlink(part)
        found = [old for old in found if not file.is_current(old.name)]
        wall = datetime.fromtimestamp(now + shift_s, UTC).replace(tzinfo=None)
        kept = []
        for number, old in enumerate(found):
            too_many = 0 < self._options.keep_files <= number
            too_old = self._options.keep_days and old.until + timedelta(days=self._options.keep_days) <= wall
            if not (too_many or too_old):
                kept.append(old)
            elif old.plain is None or file.remove(old.name, old.plain.st_size):
                with suppress(FileNotFoundError):
                    os.unlink(old.name + PACKED)
        return kept

    def _compress(self, file: LineFile, old: DatedFile) -> None:
        """Replace a file by its compressed form, at once; each line is in one of them at any time."""
        part = old.name + PART
        raw = _claimed(part)
        if raw is None:
            return
        with raw:
            try:
                if os.path.exists(old.name):  # else another one has compressed it since
                    self._replace(file, old.name, raw)
            finally:
                if _is_at(raw, part):
                    os.unlink(part)

    def _replace(self, file: LineFile, name: str, raw: BinaryIO) -> None:
        has_packed = os.path.exists(name + PACKED)
        if has_packed and _holds(name + PACKED, name):
            file.remove(name, os.path.getsize(name))  # a process ended between the two
        else:
            file.exchange(name, self._pack(name, raw, has_packed=has_packed), name + PART, name + PACKED)

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
            if self._stopped.is_set():
                raise _StoppedError
            target.write(chunk)


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
