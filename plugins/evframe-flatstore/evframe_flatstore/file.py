"""One file: opened, appended to and rotated in a worker thread."""

from __future__ import annotations

import math
import os
import stat
import threading
from collections.abc import Callable, Sequence
from datetime import tzinfo
from io import FileIO
from itertools import accumulate
from typing import Final

import attrs

from evframe import Rejected, Unavailable
from evframe_flatstore.dates import Periods, suffix_at
from evframe_flatstore.options import Options
from evframe_flatstore.probing import check_name, check_open
from evframe_flatstore.problems import is_of_file, problem_of

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


@attrs.frozen
class Rotation:
    """The parameters of `E_FLATSTORE_ROTATION`."""

    timestamp: str
    reason: str
    filename: str
    old_filename: str


def file_name(path: str, suffix: str | None, at: float, zone: tzinfo | None) -> str:
    """Return the name of the file that *path* stands for at the Unix time *at*."""
    return path if suffix is None else path + suffix_at(suffix, at, zone)


def is_within(name: str, root: str) -> bool:
    """Return whether the file called *name* is below the folder *root*, wherever links lead to."""
    real = os.path.join(os.path.realpath(root), "")
    return os.path.realpath(name).startswith(real)


def _is_special(name: str) -> bool:
    """Return whether *name* is a pipe or a device."""
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


class _OutsideError(OSError):
    """A link leads out of the folder of the file."""


class LineFile:
    """The file of one subscriber, and what is due for it.

    Every method but `rest`, `end` and `take_rotations` may wait for the disk; a lock keeps two of them apart.

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
        self._periods = Periods(options.rotate_period_s, zone) if options.rotate_period_s else None
        self._period: int | None = None  # that of the open file
        self._ahead = 0.0, math.inf  # while the clock is between, the period need not be looked at
        self._max_bytes = options.max_bytes
        self._limited = bool(options.rotate_count or self._max_bytes)
        self._mutex = threading.Lock()
        self.has_ended = False
        """Whether it takes no more lines."""
        self._rests = False
        self._fd: int | None = None
        self._name = ""
        self._seen = ""  # the last name that `on_new` took
        self._identity = (0, 0)
        self._regular = True
        self._size = 0
        self._base = 0
        self._count = 0
        self._tail = b""
        self._due: str | None = None
        self._rotations: list[Rotation] = []

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
        with self._mutex:
            if self._limited and lines:
                self._write_limited(lines, counted, heading)
            else:
                self._prepare(0, heading if lines else None)
                self._append(lines, 0)
        self._close_if_due()

    def probe(self) -> None:
        """Find out whether the next line could be written; nothing is made or rotated.

        A pipe or a device that exists is opened, and stays open: to close it again would end its reader.

        Raises:
            Unavailable: if it could not.
        """
        with self._mutex:
            try:
                self._probe()
            except OSError as error:
                raise Unavailable(problem_of(error)) from None
        self._close_if_due()

    def _probe(self) -> None:
        if self._fd is not None and not self._rests:
            self._close_if_moved()
        if self._fd is None and _is_special(self._next_name()):
            self._begin(self._clock())
            self._rests = False
        if self._fd is not None and not self._regular:
            check_open(self._fd)
        else:
            check_name(self._next_name(), makes_directories=self._options.make_directories)

    def _next_name(self) -> str:
        """Return the name of the file that the next line is in."""
        if self._name and not self._rests and self._due is None and (self._periods is None or not self._is_over()):
            return self._name
        return file_name(self.path, self._options.suffix, self._clock(), self._zone)

    def rotate(self, reason: str) -> None:
        """Continue in a new file; when that fails, before the next line is written."""
        with self._mutex:
            if reason == "period" and not self._is_over():
                return  # the lines that came first have rotated it
            self._due = reason
            try:
                self._rotate_due()
            except OSError as error:
                raise self._problem(error, 0) from None
        self._close_if_due()

    def is_current(self, name: str) -> bool:
        """Return whether lines are appended to the file called *name*."""
        return name == self._name

    def remove(self, name: str, size: int) -> bool:
        """Delete an earlier file of *size* bytes; return False when lines were appended to it since."""
        with self._mutex:
            if not self._is_at_rest(name, size):
                return False
            os.unlink(name)
        self._close_if_due()
        return True

    def exchange(self, name: str, size: int, part: str, packed: str) -> None:
        """Have the file called *part* be *packed* in place of an earlier file, unless lines were appended to that.

        Lines that come in between are in a new file of the name.
        """
        with self._mutex:
            if self._is_at_rest(name, size):
                with open(name, "rb", buffering=0) as plain:
                    plain.seek(size)
                    os.rename(part, packed)
                    self._flush_folder()
                    os.unlink(name)
                    self._put_back(plain, name)
                    self._flush_folder()  # which gives time to lines that another process was writing
                    self._put_back(plain, name)
        self._close_if_due()

    def _put_back(self, plain: FileIO, name: str) -> None:
        """Append to a new file called *name* what others have appended to *plain* since it was compressed."""
        rest = plain.readall()
        if rest:
            mode = os.fstat(plain.fileno()).st_mode & 0o777
            with open(os.open(name, _FLAGS, mode), "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(rest)

    def _is_at_rest(self, name: str, size: int) -> bool:
        return not self.has_ended and name != self._name and os.stat(name).st_size == size

    def _flush_folder(self) -> None:
        """Have the disk take new names before old ones go."""
        folder = os.open(os.path.dirname(self._name) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def take_rotations(self) -> list[Rotation]:
        """Return the rotations since the last call."""
        taken, self._rotations = self._rotations, []
        return taken

    def rest(self) -> None:
        """Close the file until the next line, which is in the file that the path names then; forget what is due."""
        self._rests = True
        self._close_if_due()

    def end(self) -> None:
        """Close the file as soon as nothing is being written."""
        self.has_ended = True
        self._close_if_due()

    def _close_if_due(self) -> None:
        # The holder of the lock calls this once it is free, so that one of the two closes.
        if (self.has_ended or self._rests) and self._mutex.acquire(blocking=False):
            try:
                if self.has_ended or self._rests:  # else a line has come
                    self._close()
            finally:
                self._mutex.release()

    def _close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

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
        written = self._size + len(self._tail) - self._base - start
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

    def _is_over(self) -> bool:
        """Return whether the period of the open file is over, or none is open."""
        now = self._clock()
        if self._periods is None or (self._period is not None and self._ahead[0] <= now < self._ahead[1]):
            return self._period is None
        if self._period != self._periods.number(now):
            return True
        self._ahead = now, self._periods.next_look(now)
        return False

    def _prepare(self, done: int, heading: Callable[[int], bytes] | None) -> None:
        """Have the file open that the path names now."""
        try:
            if self._rests:
                self._wake()
            if self._due is None and self._periods is not None and self._period is not None and self._is_over():
                self._due = "period"
            if self._due is not None:
                self._rotate_due()
            if self._fd is not None:
                self._close_if_moved()
            if self._fd is None:
                self._open(self._name) if self._name else self._begin(self._clock())
            if heading is not None and not self._size and not self._tail and self._regular:
                self._tail = heading(done)
        except OSError as error:
            raise self._problem(error, done) from None

    def _close_if_moved(self) -> None:
        """Close a file that was renamed or removed."""
        try:
            found = os.stat(self._name)
        except FileNotFoundError:
            self._close()
        else:
            self._size = found.st_size
            if (found.st_dev, found.st_ino) != self._identity:
                self._close()

    def _wake(self) -> None:
        self._close()
        self._due, self._identity = None, (0, 0)
        self._begin(self._clock())
        self._rests = False

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
        if self._periods is not None:
            self._period = self._periods.number(now)
            self._ahead = now, self._periods.next_look(now)

    def _open(self, name: str) -> None:
        if self._root is not None and not is_within(name, self._root):
            raise _OutsideError
        if self._options.make_directories:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        fd = os.open(name, _FLAGS, self._options.mode)
        found = os.fstat(fd)
        identity = (found.st_dev, found.st_ino)
        self._close()
        if identity != self._identity:
            self._tail = b""
            self._base = 0
        self._count = 0
        self._fd, self._name, self._identity, self._size = fd, name, identity, found.st_size
        self._regular = stat.S_ISREG(found.st_mode)
        if name != self._seen and self._on_new(self):
            self._seen = name

    def _rotate_due(self) -> None:
        if self._due is None:
            return
        old, before = self._name, self._identity
        now = self._clock()
        self._begin(now)
        if self._identity == before:
            self._base = self._size  # the name has not changed: the limits start anew
        reason, self._due = self._due, None
        self._rotations.append(Rotation(str(int(now)), reason, self._name, old))

    def _append(self, lines: bytes, done: int) -> None:
        assert self._fd is not None
        data = self._tail + lines if self._tail else lines
        tail = len(self._tail)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
            self._tail = b""
            if self._options.fsync and self._regular:
                written = 0
                os.fsync(self._fd)
                written = len(data)
        except OSError as error:
            raise self._problem(error, done + self._whole(data, written, tail)) from None
        finally:
            self._size += written

    def _whole(self, data: bytes, written: int, tail: int) -> int:
        """Return how many lines count as written when the disk took *written* bytes of *data*."""
        if written < tail:
            self._tail = data[written:tail]
            return 0
        self._tail = b""
        begin = data.rfind(b"\n", 0, written) + 1
        whole = data.count(b"\n", tail, written)
        if begin == written:
            return whole
        if self._cut(begin - written):
            return whole
        self._tail = data[written : data.index(b"\n", written) + 1]
        return whole + 1

    def _cut(self, torn: int) -> bool:
        """Take the last *-torn* bytes, the start of a line, off the file again; False when others wrote since."""
        assert self._fd is not None
        if not self._regular:
            return False
        try:
            position = os.lseek(self._fd, 0, os.SEEK_CUR)
            if os.fstat(self._fd).st_size != position:
                return False
            os.ftruncate(self._fd, position + torn)
        except OSError:
            return False
        return True
