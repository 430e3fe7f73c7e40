"""The file of the journal: an SQLite database, which one thread writes and reads."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from evframe_files.database import DatabaseFile, transaction
from evframe_files.errors import is_damage

from evframe_journal import rows
from evframe_journal.bounds import Commit, FileBounds, Kept, Mended, Reading
from evframe_journal.discard import Discard, Discarded, discard
from evframe_journal.letters import Filter, LetterTable, Page
from evframe_journal.problems import GoneError
from evframe_journal.rows import KIND
from evframe_journal.worker import Worker

_Result = TypeVar("_Result")
_UNBOUNDED: Final = FileBounds()
Done = Callable[[Any, BaseException | None], None]
"""Called on the loop with the result, or with None and the error."""


class File(Protocol):
    """Where frames are kept. Each call returns at once; *done* is called on the loop."""

    def write(self, commit: Commit, done: Callable[[None, BaseException | None], None]) -> None:
        """Write *commit* whole or not at all; *done* is called without an error once it is on the disk."""

    def read(
        self, key: str, position: int, most: int, done: Callable[[Reading | None, BaseException | None], None]
    ) -> None:
        """Read the events of *key* from *position* on, at most *most*, of a few frames."""

    def discard(self, what: Discard, done: Callable[[Discarded | None, BaseException | None], None]) -> None:
        """Remove the next few frames whose events have failed; see `evframe_journal.discard.discard`."""

    def check(self, done: Callable[[None, BaseException | None], None]) -> None:
        """Find out whether the file is in its place; *done* is called with the error when it is not."""

    def mend(
        self,
        memory: Commit,
        loaded: Mapping[str, int],
        failed: Mapping[str, int],
        done: Callable[[Mended | None, BaseException | None], None],
    ) -> None:
        """Open the file, or make it again when it is damaged or gone, of what can be read of it.

        Args:
            memory: what the subscribers have in memory below the positions *loaded*.
            loaded: by subscriber, the position from which on the file alone has the events.
            failed: by subscriber, the position below which the file has events that are being discarded.
            done: called with what the file has.
        """


class JournalFile:
    """Frames of events, on disk.

    Args:
        path: the database; only its owner may read it.
        bounds: how large it may be.
    """

    def __init__(self, path: str, bounds: FileBounds = _UNBOUNDED) -> None:
        self._path = path
        self._bounds = bounds
        self._file: DatabaseFile | None = None
        self._is_damaged = False
        self._letters = LetterTable()
        self._thread = Worker("journal")

    def open(self) -> Mapping[str, Kept]:
        """Open the file, and return what is kept for each subscriber.

        Raises:
            OSError: if it cannot be used, or another process uses it.
            sqlite3.Error: if it cannot be opened, or is damaged.
        """
        if self._file is None:
            self._file = DatabaseFile(self._path, KIND)
        try:
            self._file.open()
            rows.bound(self._file.database, self._bounds.max_bytes)
            return rows.kept(self._file.database)
        except sqlite3.Error as error:
            self._is_damaged |= is_damage(error)
            raise

    def write(self, commit: Commit, done: Done) -> None:
        """See `File`."""
        self._run(lambda: self._write(commit), done)

    def _write(self, commit: Commit) -> None:
        self._check()
        if commit.frames:
            self._check_room()
        database = self._database
        with transaction(database) if commit.letters is None else self._letters.transaction(database):
            rows.write(database, commit)
            if commit.letters is not None:
                self._letters.write(database, commit.letters)
            self._thread.rest()

    def _check_room(self) -> None:
        least = self._bounds.min_free_bytes
        system = os.statvfs(self._path)
        free = system.f_bavail * system.f_frsize
        if free < least:
            raise OSError(errno.ENOSPC, f"expected {least} free bytes on the file system, got {free}")

    def set_bounds(self, bounds: FileBounds) -> None:
        """Apply other bounds; a file that is larger stays as it is."""
        self._bounds = bounds
        self._run(lambda: rows.bound(self._database, bounds.max_bytes), lambda _, error: None)  # noqa: ARG005

    def discard(self, what: Discard, done: Done) -> None:
        """See `File`."""
        self._run(lambda: discard(self._database, self._letters, what, self._thread.rest), done)

    @property
    def _database(self) -> sqlite3.Connection:
        if self._file is None:
            raise OSError(errno.EBADF, "expected an open file")
        return self._file.database

    def check(self, done: Done) -> None:
        """See `File`."""
        self._run(self._check, done)

    def _check(self) -> None:
        if self._file is not None and self._file.is_gone:
            raise GoneError(errno.ENOENT, "the file was deleted or replaced", self._path)

    def read(self, key: str, position: int, most: int, done: Done) -> None:
        """See `File`."""
        self._run(lambda: rows.read(self._database, key, position, most), done)

    def look(
        self, wanted: Filter, after: int, most: int, *, whole: bool, done: Callable[[Page, BaseException | None], None]
    ) -> None:
        """See `evframe_journal.dead.Reading`."""
        self._run(lambda: LetterTable.look(self._database, wanted, after, most, whole=whole), done)

    def last_id(self, done: Callable[[int, BaseException | None], None]) -> None:
        """See `evframe_journal.dead.Reading`."""
        self._run(lambda: LetterTable.last_id(self._database), done)

    def mend(self, memory: Commit, loaded: Mapping[str, int], failed: Mapping[str, int], done: Done) -> None:
        """See `File`."""
        self._run(lambda: self._mend(memory, loaded, failed), done)

    def _mend(self, memory: Commit, loaded: Mapping[str, int], failed: Mapping[str, int]) -> Mended:
        file = self._file
        if file is None:
            file = self._file = DatabaseFile(self._path, KIND)
        damaged: dict[str, int] = {}
        moved_to, is_new = None, self._is_damaged or (file.is_open and file.is_gone)
        if is_new:
            source = file.salvage_rows() if self._is_damaged else rows.every_row(file.database)
            moved_to = file.replace(rows.filling(source, loaded, memory, failed, damaged))
            self._is_damaged = False
        if is_new or not file.is_open:
            self.open()
        database = file.database
        left = {key: rows.count_from(database, key, position) for key, position in loaded.items()}
        return Mended(rows.kept(database), left, moved_to, is_new, damaged)

    def _run(self, work: Callable[[], _Result], done: Done) -> None:
        def over(future: Future[_Result]) -> None:
            error = future.exception()
            if error is not None:
                self._is_damaged |= is_damage(error)
            done(None if error is not None else future.result(), error)

        self._thread.run(work, over)

    def close(self) -> None:
        """Close the file, after the work that was begun."""
        self._thread.close()
        file, self._file = self._file, None
        if file is not None:
            file.close()
