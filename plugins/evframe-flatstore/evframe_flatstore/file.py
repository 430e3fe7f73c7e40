"""The file of one subscriber: appended to and rotated in a worker thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from itertools import accumulate

from evframe import Rejected, Unavailable
from evframe_flatstore.dates import CurrentPeriod, file_name
from evframe_flatstore.events import Rotation
from evframe_flatstore.open_file import AppendError, OpenFile
from evframe_flatstore.options import Options
from evframe_flatstore.paths import is_within
from evframe_flatstore.probing import check_name, is_special
from evframe_flatstore.problems import is_of_file, problem_of


class _OutsideError(OSError):
    """A link leads out of the folder of the file."""


class LineFile:
    """The file of one subscriber, and the rotation that is due for it.

    Every method but `suspend`, `end` and `take_rotations` may wait for the disk; a lock keeps two of them apart.

    Args:
        path: of the file, without the suffix.
        options: of the transport.
        zone: the time zone of the suffix and of the periods; None for the machine's own.
        clock: the wall clock, in seconds since the epoch.
        on_new: called from the thread that has opened a file of another name than before; when it returns False, it is
            called again as the file is opened the next time.
        root: the folder that the file has to be in, where links lead to it; None for any.
    """

    def __init__(  # noqa: PLR0913 what all files share, and the one
        self,
        path: str,
        options: Options,
        zone: tzinfo | None,
        clock: Callable[[], float],
        on_new: Callable[[LineFile], bool],
        *,
        root: str | None = None,
    ) -> None:
        self.path = path
        self._root = root
        self._options = options
        self._zone = zone
        self._clock = clock
        self._on_new = on_new
        self._period = CurrentPeriod(options.rotate_period_s, zone) if options.rotate_period_s else None
        self._max_bytes = options.max_bytes
        self._limited = bool(options.rotate_count or self._max_bytes)
        self._mutex = threading.Lock()
        self.has_ended = False
        """Whether it takes no more lines."""
        self._is_suspended = False
        self._file = OpenFile(options.mode, fsync=options.fsync)
        self._seen = ""  # the last name that `on_new` took
        self._base = 0  # the size at which the limits began
        self._count = 0
        self._due: str | None = None
        self._rotations: list[Rotation] = []

    @property
    def name(self) -> str:
        """The name of the file that lines are appended to; empty before the first one."""
        return self._file.name

    def write(
        self, lines: bytes, counted: Sequence[bool] | None = None, heading: Callable[[int], bytes] | None = None
    ) -> None:
        """Append *lines*, rotating before them when the period is over and after the line that reaches a limit.

        Args:
            lines: whole lines.
            counted: for each line whether it may bring a rotation about; None for all.
            heading: gives the first line of an empty file that begins with the line of an index.

        Raises:
            Unavailable: with the number of whole lines written.
            Rejected: if the file is outside of its folder, or takes no lines while others in the folder do.
        """
        try:
            with self._mutex:
                if self._limited and lines:
                    self._write_limited(lines, counted, heading)
                else:
                    self._prepare(0, heading if lines else None)
                    self._append(lines, 0)
        finally:
            self._close_if_due()

    def probe(self) -> None:
        """Find out whether the next line could be written; nothing is made or rotated.

        A pipe or a device that exists is opened, and stays open: to close it again would end its reader.

        Raises:
            Unavailable: if it could not.
        """
        try:
            with self._mutex:
                self._probe()
        except OSError as error:
            raise Unavailable(problem_of(error)) from None
        finally:
            self._close_if_due()

    def _probe(self) -> None:
        file = self._file
        if file.is_open and not self._is_suspended:
            file.close_if_moved()
        if not file.is_open and is_special(self._next_name()):
            self._begin(self._clock())
            self._is_suspended = False
        if file.is_open and not file.is_regular:
            file.check()
        else:
            check_name(self._next_name(), makes_directories=self._options.make_directories)

    def _next_name(self) -> str:
        """Return the name of the file that the next line is in."""
        if self.name and not self._is_suspended and self._due is None and not self._is_period_over():
            return self.name
        return file_name(self.path, self._options.suffix, self._clock(), self._zone)

    def _is_period_over(self) -> bool:
        return self._period is not None and self._period.is_over(self._clock())

    def rotate(self, reason: str) -> None:
        """Continue in a new file; when that fails, before the next line is written."""
        try:
            with self._mutex:
                if reason == "period" and self.name and not self._is_period_over():
                    return  # the lines that came first have rotated it
                self._due = reason
                self._rotate_due()
        except OSError as error:
            raise self._problem(error, 0) from None
        finally:
            self._close_if_due()

    @contextmanager
    def old_file(self, name: str, size: int) -> Iterator[bool]:
        """Write no lines within the context, which has whether the file called *name* is an earlier one of *size*."""
        try:
            with self._mutex:
                yield not self.has_ended and name != self.name and os.stat(name).st_size == size
        finally:
            self._close_if_due()

    def take_rotations(self) -> list[Rotation]:
        """Return the rotations since the last call."""
        taken, self._rotations = self._rotations, []
        return taken

    def suspend(self) -> None:
        """Close the file until the next line, which is in the file that the path names then; no rotation is due."""
        self._is_suspended = True
        self._close_if_due()

    def end(self) -> None:
        """Close the file as soon as nothing is being written."""
        self.has_ended = True
        self._close_if_due()

    def _close_if_due(self) -> None:
        # The holder of the lock calls this once it is free, so that one of the two closes.
        if (self.has_ended or self._is_suspended) and self._mutex.acquire(blocking=False):
            try:
                if self.has_ended or self._is_suspended:  # else a line has come
                    self._file.close()
            finally:
                self._mutex.release()

    def _write_limited(
        self, lines: bytes, counted: Sequence[bool] | None, heading: Callable[[int], bytes] | None
    ) -> None:
        ends = list(accumulate(len(line) + 1 for line in lines.split(b"\n")[:-1]))
        done = 0
        while done < len(ends):
            self._prepare(done, heading)
            start = ends[done - 1] if done else 0
            stop, due = self._limit(ends, done, start, counted)
            self._append(lines[start : ends[stop - 1]], done)
            done = stop
            self._due = due
            try:
                self._rotate_due()
            except OSError as error:
                if done < len(ends):
                    raise self._problem(error, done) from None

    def _limit(self, ends: list[int], first: int, start: int, counted: Sequence[bool] | None) -> tuple[int, str | None]:
        """Return how far to write, and why to rotate after that."""
        most = self._options.rotate_count
        count = self._count
        written = self._file.size + len(self._file.unwritten) - self._base - start
        for index in range(first, len(ends)):
            if counted is None or counted[index]:
                count += 1
                if most and count >= most:
                    self._count = count
                    return index + 1, "count"
                if self._max_bytes and written + ends[index] >= self._max_bytes:
                    self._count = count
                    return index + 1, "size"
        self._count = count
        return len(ends), None

    def _prepare(self, done: int, heading: Callable[[int], bytes] | None) -> None:
        """Have the file open that the path names now."""
        file = self._file
        try:
            if self._is_suspended:
                self._resume()
            if self._due is None and self._is_period_over():
                self._due = "period"
            if self._due is not None:
                self._rotate_due()
            if file.is_open:
                file.close_if_moved()
            if not file.is_open:
                self._open(file.name) if file.name else self._begin(self._clock())
            if heading is not None and not file.size and not file.unwritten and file.is_regular:
                file.unwritten = heading(done)
        except OSError as error:
            raise self._problem(error, done) from None

    def _resume(self) -> None:
        self._file.close()
        self._due, self._file.identity = None, (0, 0)
        self._begin(self._clock())
        self._is_suspended = False

    def _problem(self, error: OSError, done: int) -> Unavailable | Rejected:
        """Return why the lines behind the first *done* are not written; those of a file that a value names do not wait.

        They would hold up the lines of all other values.
        """
        if isinstance(error, _OutsideError):
            return Rejected("outside_root", done=done)
        if self._root is not None and is_of_file(error, self._root):
            return Rejected(problem_of(error), done=done)
        return Unavailable(problem_of(error), done=done)

    def _begin(self, now: float) -> None:
        """Open the file that the path stands for at the Unix time *now*."""
        self._open(file_name(self.path, self._options.suffix, now, self._zone))
        if self._period is not None:
            self._period.begin(now)

    def _open(self, name: str) -> None:
        if self._root is not None and not is_within(name, self._root):
            raise _OutsideError
        if self._options.make_directories:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        before = self._file.identity
        self._file.open(name)
        if self._file.identity != before:
            self._base = 0
        self._count = 0
        if name != self._seen and self._on_new(self):
            self._seen = name

    def _rotate_due(self) -> None:
        if self._due is None:
            return
        old, before = self.name, self._file.identity
        now = self._clock()
        self._begin(now)
        if self._file.identity == before:
            self._base = self._file.size  # the name has not changed: the limits start anew
        reason, self._due = self._due, None
        self._rotations.append(Rotation(str(int(now)), reason, self.name, old))

    def _append(self, lines: bytes, done: int) -> None:
        try:
            self._file.append(lines)
        except AppendError as error:
            raise self._problem(error.error, done + error.lines) from None
