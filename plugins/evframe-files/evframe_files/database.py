"""SQLite files of one process: private, locked, with a version, and rebuilt when they are damaged or gone."""

from __future__ import annotations

import errno
import glob
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from evframe_files import pages
from evframe_files.private import MODE, lock, open_private

_CLOSED: Final = -1
_FOLD_S: Final = 1.0
_RESERVE: Final = "reserve"  # a table whose pages are free once it is dropped
Change = Callable[[sqlite3.Connection], object]
"""What writes to a database, within a transaction."""


@dataclass(frozen=True)
class Kind:
    """What a database holds, and in which version of its format.

    An earlier version is upgraded when it is opened, in one transaction. A later one is refused and left as it is.
    """

    name: str
    """What it holds, for errors, such as "kept subscriptions"."""
    version: int
    """The version of the format, from 1."""
    schema: tuple[str, ...]
    """The statements that make the tables of an empty file."""
    table: str
    """A table that each file of this kind has; it names the kind where *application* does not."""
    application: int = 0
    """The ``application_id`` in the file; 0 for none."""
    upgrades: Mapping[int, Change] = field(default_factory=dict)
    """By an earlier version, what makes the next one of it."""
    settings: tuple[str, ...] = ()
    """The statements for each connection."""
    reserve_bytes: int = 0
    """Free pages in a new file, into which a write-ahead log on a full disk is folded."""

    def check(self, application: int, version: int) -> None:
        """Check what a file says about itself.

        Raises:
            OSError: if it is another program's, or of a later version.
        """
        if application not in {0, self.application}:
            self.refuse("the file of another program")
        if version > self.version:
            self.refuse(str(version))

    def refuse(self, got: str) -> None:
        """Raise the error for a file that is not of this kind."""
        raise OSError(errno.EINVAL, f"expected a file of {self.name} of version {self.version}, got {got}")


class DatabaseFile:
    """A database in a file that no other process uses, and only its owner may read.

    The file is locked when this is made, and `open` opens the database in it. No call waits for a lock of SQLite
    unless the settings of the kind say so.

    Args:
        path: the database; where it is a link, the file that it leads to.
        kind: what it holds.

    Raises:
        OSError: if the file cannot be used, or another process uses it.
    """

    def __init__(self, path: str, kind: Kind) -> None:
        path = self.path = os.path.realpath(path)  # the journals are beside the file that a link leads to
        self._kind = kind
        self._database: sqlite3.Connection | None = None
        folder = os.path.dirname(path)
        if os.path.isdir(folder) and not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, f"expected a folder in which files can be made, got {folder!r}")
        self._lock = lock(path)
        try:
            self._take_over()
            journals = (path + journal for journal in pages.JOURNALS)
            for name in (*journals, *glob.glob(f"{glob.escape(path)}.damaged*")):
                if os.path.isfile(name):
                    os.chmod(name, MODE)
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether the database is open."""
        return self._database is not None

    @property
    def has_mark(self) -> bool:
        """Whether the file says that it is of this kind, be it damaged or not; False where kinds have no mark."""
        return self._kind.application != 0 and pages.header(self.path)[0] == self._kind.application

    @property
    def is_gone(self) -> bool:
        """Whether the file was deleted or moved, or another one is in its place."""
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self._lock))
        except FileNotFoundError:
            return True

    @property
    def database(self) -> sqlite3.Connection:
        """The connection, which commits each statement unless a transaction is begun.

        Raises:
            sqlite3.Error: if the database is not open.
        """
        if self._database is None:
            raise sqlite3.ProgrammingError("expected an open database")
        return self._database

    def open(self) -> None:
        """Open the database; make it in an empty file, upgrade an earlier version.

        Raises:
            OSError: if it is not of its kind, or another process uses what is in its place now.
            sqlite3.Error: if it cannot be opened now, or is damaged.
        """
        self.shut()
        self._lock_again()
        self._kind.check(*pages.header(self.path))  # SQLite would touch the file, and what belongs to it
        database = _connect(self.path)
        try:
            self._prepare(database)
        except UnicodeDecodeError:  # a name in SQLite's message about the tables
            database.close()
            error = sqlite3.DatabaseError("malformed database schema")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error from None
        except BaseException:
            database.close()
            raise
        self._database = database

    def _prepare(self, database: sqlite3.Connection) -> None:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        self._kind.check(application, version)
        if not tables and not version:
            self._create(database)
        elif application != self._kind.application or not (application or self._kind.table in tables):
            self._kind.refuse("another database")
        elif version < self._kind.version:
            self._upgrade(database, version)
        if _RESERVE in tables:
            database.execute(f"DROP TABLE {_RESERVE}")  # of a process that was killed as it made the file
        for statement in self._kind.settings:
            database.execute(statement)

    def _create(self, database: sqlite3.Connection, fill: Change | None = None) -> None:
        """Make the tables and fill them."""
        with transaction(database):
            for statement in self._kind.schema:
                database.execute(statement)
            if fill is not None:
                fill(database)
            database.execute(f"PRAGMA application_id = {self._kind.application}")
            database.execute(f"PRAGMA user_version = {self._kind.version}")
            database.execute(f"CREATE TABLE {_RESERVE} (page BLOB)")
            database.execute(f"INSERT INTO {_RESERVE} VALUES (zeroblob(?))", (self._kind.reserve_bytes,))  # noqa: S608
        database.execute(f"DROP TABLE {_RESERVE}")

    def _upgrade(self, database: sqlite3.Connection, version: int) -> None:
        with transaction(database):
            for earlier in range(version, self._kind.version):
                if earlier in self._kind.upgrades:
                    self._kind.upgrades[earlier](database)
            database.execute(f"PRAGMA user_version = {self._kind.version}")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Have a connection while the database is not open, without the files that `open` has to make."""
        with closing(_connect(self.path)) as database:
            # Without memory that is shared with other processes, for which a full disk has no room.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            yield database

    def salvage_rows(self) -> Iterator[pages.Row]:
        """Yield the rows that can be read of a damaged database, which is not open after that; see `pages.rows`."""
        self.shut()
        yield from pages.rows(self.path)

    def replace(self, fill: Change) -> str | None:
        """Put a new database in the place of one that is damaged or gone, and not open; from any thread.

        Returns where the one before is now, if it is anywhere. It stays in its place until the new one is complete.
        """
        part = f"{self.path}.part"
        for name in (part, f"{part}-journal"):
            with suppress(FileNotFoundError):
                os.unlink(name)
        os.close(open_private(part, os.O_RDWR | os.O_EXCL))
        try:
            with closing(_connect(part)) as database:
                self._create(database, fill)
            self._lock_again()
        except BaseException:
            os.unlink(part)
            raise
        os.replace(part, f"{self.path}.new")
        return self._take_over()

    def _take_over(self) -> str | None:
        """Put a complete new database in its place, even one that an earlier process could not."""
        new = f"{self.path}.new"
        if not os.path.exists(new):
            return None
        locked = lock(new)
        try:
            aside = pages.set_aside(self.path, new)
        except BaseException:
            os.close(locked)
            raise
        os.close(self._lock)
        self._lock = locked
        return aside

    def _lock_again(self) -> None:
        """Lock the file that is in the place of the one before, or make one there."""
        if self.is_gone:
            locked = lock(self.path)
            os.close(self._lock)
            self._lock = locked

    def fold(self) -> None:
        """Move the write-ahead log into the file, which waits for the disk; from any thread."""
        with closing(_connect(self.path, _FOLD_S)) as database:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def shut(self) -> None:
        """Close the database, and keep the file locked."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def close(self) -> None:
        """Close the database and the file, unless that was done before."""
        self.shut()
        # Not before: the locks of a process on a file end with any of its descriptors.
        if self._lock != _CLOSED:
            os.close(self._lock)
            self._lock = _CLOSED

    def __del__(self) -> None:
        # An interface that was made and never entered is not left either: the next one may use the file.
        if getattr(self, "_lock", _CLOSED) != _CLOSED:
            self.close()


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Have everything in the block written, or nothing when it fails."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _connect(path: str, timeout_s: float = 0.0) -> sqlite3.Connection:
    """Return a connection to a file that exists: one that SQLite makes would not be private.

    It may be used by one thread after another.
    """
    place = f"file:{quote(os.fsencode(path))}?mode=rw"
    return sqlite3.connect(place, timeout=timeout_s, isolation_level=None, uri=True, check_same_thread=False)
