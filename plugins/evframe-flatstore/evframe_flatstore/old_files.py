"""The files before the current one: which are deleted, and which are compressed."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from evframe.plugin import LogLimiter
from evframe_flatstore.compression import Compressor, StoppedError, remove, remove_part
from evframe_flatstore.dates import wall_s
from evframe_flatstore.file import LineFile
from evframe_flatstore.names import PACKED, DatedFile, Template, files_of
from evframe_flatstore.options import Options

log = logging.getLogger("evframe.flatstore")
_MOST_WAITING: Final = 10_000


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "flatstore-old")


class OldFiles:
    """Compresses and deletes old files as the options say, on one thread.

    Args:
        options: of the transport.
        zone: the time zone of the names; None for the machine's own.
        clock: the wall clock, in seconds since the epoch.
    """

    def __init__(self, options: Options, zone: tzinfo | None, clock: Callable[[], float]) -> None:
        self._options = options
        self._zone = zone
        self._clock = clock
        has_work = options.keep_files or options.keep_days or options.compress
        self._template = Template(options.suffix) if has_work and options.suffix is not None else None
        self._stopped = threading.Event()
        self._compressor = Compressor(self._stopped.is_set)
        self._limiter = LogLimiter()
        self._mutex = threading.Lock()
        self._thread = _thread()
        self._free = threading.Semaphore(_MOST_WAITING)

    @property
    def has_work(self) -> bool:
        """Whether the options have old files compressed or deleted."""
        return self._template is not None

    def submit(self, file: LineFile) -> bool:
        """Have the thread compress and delete the files before the current one; return False when too many wait."""
        if not self.has_work or self._stopped.is_set():
            return True
        free = self._free
        if not free.acquire(blocking=False):
            return False
        with suppress(RuntimeError):  # the interpreter is about to end
            self._thread.submit(self._work, file, free)
        return True

    def _work(self, file: LineFile, free: threading.Semaphore) -> None:
        free.release()
        self._tidy(file)

    def start(self) -> None:
        """Take files, after `stop`, too."""
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
                    return  # the next subscriber of the path has them compressed and deleted
                for old in self._delete(file):
                    if self._options.compress and old.plain is not None:
                        self._compressor.compress(file, old.name)
        except StoppedError:
            pass
        except OSError as error:
            if self._limiter.due(file.path) is not None:
                extra = {"path": file.path, "reason": error.strerror or str(error)}
                log.warning("old files cannot be compressed or deleted", extra=extra)

    def _delete(self, file: LineFile) -> list[DatedFile]:
        """Delete the files that are too many or too old; return the other ones before the current one."""
        assert self._template is not None
        now = self._clock()
        shift_s = wall_s(now, self._zone) - int(now)
        found, parts = files_of(file.path, self._template, shift_s)
        for part in parts:
            remove_part(part)
        found = [old for old in found if old.name != file.name]
        wall = datetime.fromtimestamp(now + shift_s, UTC).replace(tzinfo=None)
        left = []
        for number, old in enumerate(found):
            too_many = 0 < self._options.keep_files <= number
            too_old = self._options.keep_days and old.until + timedelta(days=self._options.keep_days) <= wall
            if not (too_many or too_old):
                left.append(old)
            elif old.plain is None or remove(file, old.name, old.plain.st_size):
                with suppress(FileNotFoundError):
                    os.unlink(old.name + PACKED)
        return left
