"""The file in which leases outlive the process: an SQLite database."""

from __future__ import annotations

import errno
import fcntl
import glob
import math
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from typing import Final
from urllib.parse import quote

import attrs
import evframe_salvage as salvage

_VERSION: Final = 2
_FIRST_VERSION: Final = 1  # without the interfaces that made the leases
_FOLD_S: Final = 1.0
_MODE: Final = 0o600
_RESERVE_BYTES: Final = 65_536
_LONGEST_S: Final = 2**31 - 1
_PUT: Final = "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)"
_REMOVE: Final = "DELETE FROM leases WHERE event = ? AND socket = ?"
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS leases ("
    " event BLOB NOT NULL, socket BLOB NOT NULL, text BLOB NOT NULL, expire_s INTEGER NOT NULL, ends_at REAL,"
    " interface BLOB,"
    " PRIMARY KEY (event, socket)) WITHOUT ROWID"
)

Key = tuple[str, str]
"""The event and the canonical socket of a lease."""


@attrs.frozen
class KeptLease:
    """One lease: *ends_at* is Unix time in seconds, None for one that never ends; *text* may hold secrets."""

    event: str
    socket: str
    text: str = attrs.field(repr=False)
    expire_s: int
    ends_at: float | None
    interface: str = ""
    """The management interface that made it; empty where it is not known."""

    @property
    def key(self) -> Key:
        """The event and the canonical socket."""
        return self.event, self.socket


class LeaseFile:
    """Keeps leases so that each change survives the end of the process, however it ends.

    A change is in the hands of the operating system when its call returns; what a power failure
    takes are the last changes, never the file. No call waits for a lock: a file that another
    process has locked is an error, as a full disk is.

    The file is taken when this is made, and `open` opens the database in it.

    Args:
        path: the database; only its owner may read it, because sockets can hold passwords.

    Raises:
        OSError: if the file cannot be used, or another gateway uses it.
    """

    def __init__(self, path: str) -> None:
        path = self._path = os.path.realpath(path)  # the journals are beside the file that a link leads to
        self._database: sqlite3.Connection | None = None
        folder = os.path.dirname(path) or "."
        if os.path.isdir(folder) and not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, f"expected a folder in which files can be made, got {folder!r}")
        self._lock = _take(path)
        try:
            self._take_over()
            for name in (
                *(path + journal for journal in salvage.JOURNALS),
                *glob.glob(f"{glob.escape(path)}.damaged*"),
            ):
                if os.path.isfile(name):
                    os.chmod(name, _MODE)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def is_open(self) -> bool:
        """Whether the database is open."""
        return self._database is not None

    @property
    def is_gone(self) -> bool:
        """Whether the file was deleted or moved, or another one is in its place."""
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._lock))
        except FileNotFoundError:
            return True

    def open(self) -> None:
        """Open the database.

        Raises:
            OSError: if it is not a database of this kind, or another gateway uses what is in its place now.
            sqlite3.Error: if it cannot be opened now, or is damaged.
        """
        self.shut()
        self._take_again()
        database = _connect(self._path)
        try:
            _prepare(database)
        except BaseException:
            database.close()
            raise
        self._database = database

    def read(self) -> list[KeptLease]:
        """Return every lease.

        Raises:
            sqlite3.Error: if it cannot be read.
        """
        return list(_leases(self._open_database.execute("SELECT * FROM leases")))

    def read_alone(self) -> list[KeptLease]:
        """Return every lease while the database is not open, without the files that `open` has to make.

        Raises:
            sqlite3.Error: if it cannot be read.
        """
        with closing(_connect(self._path)) as database:
            # Without memory that is shared with other processes, for which a full disk has no room.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            return list(_leases(database.execute("SELECT * FROM leases")))

    def salvage(self) -> list[KeptLease]:
        """Return what can be read of a damaged database, which is not open after that."""
        self.shut()
        found = (row for row in salvage.rows(self._path) if len(row) in {5, 6})
        return list({lease.key: lease for lease in _leases(found)}.values())

    def write(self, changes: Iterable[tuple[Key, KeptLease | None]]) -> None:
        """Keep leases, each in the place of the one with its event and socket; None removes that one."""
        with self._open_database as database:
            database.execute("BEGIN IMMEDIATE")
            for key, lease in changes:
                _write(database, key, lease)

    def put(self, lease: KeptLease) -> None:
        """Keep a lease, in the place of the one with its event and socket."""
        _write(self._open_database, lease.key, lease)

    def remove(self, key: Key) -> None:
        """Remove a lease, if the file has it."""
        _write(self._open_database, key, None)

    def rebuild(self, leases: Iterable[KeptLease]) -> str | None:
        """Put a new database with *leases* in the place of one that is damaged or gone, and not open; from any thread.

        Returns where the one before is now, if it is anywhere. It stays in its place until the new one is complete.
        """
        part = f"{self._path}.part"
        for name in (part, f"{part}-journal"):
            with suppress(FileNotFoundError):
                os.unlink(name)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
        try:
            with closing(_connect(part)) as database:
                _create(database, leases)
            self._take_again()
        except BaseException:
            os.unlink(part)
            raise
        os.replace(part, f"{self._path}.new")
        return self._take_over()

    def _take_over(self) -> str | None:
        """Put a complete new database in its place, even one that an earlier process could not."""
        new = f"{self._path}.new"
        if not os.path.exists(new):
            return None
        lock = _take(new)
        aside = salvage.set_aside(self._path, new)
        os.close(self._lock)
        self._lock = lock
        return aside

    def _take_again(self) -> None:
        """Take the file that is in the place of the one before, or make one there."""
        if self.is_gone:
            lock = _take(self._path)
            os.close(self._lock)
            self._lock = lock

    def fold(self) -> None:
        """Move the journal into the file, which waits for the disk; from any thread."""
        with closing(_connect(self._path, _FOLD_S)) as database:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def shut(self) -> None:
        """Close the database, and keep the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def close(self) -> None:
        """Close the database and the file."""
        self.shut()
        # Not before: the locks of a process on a file end with any of its descriptors.
        os.close(self._lock)

    @property
    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.ProgrammingError("expected an open database")
        return self._database


def _connect(path: str, timeout_s: float = 0.0) -> sqlite3.Connection:
    """Return a connection to a file that exists: one that SQLite makes would not be private."""
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode=rw", timeout=timeout_s, isolation_level=None, uri=True
    )


def _take(path: str) -> int:
    """Return a descriptor that keeps other gateways from the file *path*."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, _MODE)
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            raise OSError(errno.EINVAL, "expected a regular file")
        os.fchmod(lock, _MODE)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise OSError(errno.EAGAIN, "another process uses it") from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _prepare(database: sqlite3.Connection) -> None:
    """Make the database of an empty file; refuse one of another kind."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if (tables and "leases" not in tables) or version not in {0, _FIRST_VERSION, _VERSION}:
        raise OSError(errno.EINVAL, f"expected a file of kept subscriptions of version {_VERSION}, got {version!r}")
    if "leases" in tables:
        _add_interface(database)
    if version != _VERSION or not tables:
        _create(database, ())
    database.execute("PRAGMA journal_mode = WAL")
    # The journal reaches the disk when it is folded into the file, which `fold` does elsewhere.
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("PRAGMA secure_delete = ON")  # a lease that has ended leaves no password


def _add_interface(database: sqlite3.Connection) -> None:
    """Have the column that an earlier version did not write."""
    if "interface" not in {column[1] for column in database.execute("PRAGMA table_info(leases)")}:
        database.execute("ALTER TABLE leases ADD COLUMN interface BLOB")


def _create(database: sqlite3.Connection, leases: Iterable[KeptLease]) -> None:
    """Make the table with *leases*, and have free pages in the file, into which a journal on a full disk is folded."""
    database.execute("BEGIN IMMEDIATE")
    database.execute(_SCHEMA)
    database.executemany(_PUT, map(_row, leases))
    database.execute("CREATE TABLE IF NOT EXISTS reserve (page BLOB)")
    database.execute("INSERT INTO reserve VALUES (zeroblob(?))", (_RESERVE_BYTES,))
    database.execute("COMMIT")
    database.execute("BEGIN IMMEDIATE")
    database.execute("DROP TABLE reserve")
    database.execute(f"PRAGMA user_version = {_VERSION}")
    database.execute("COMMIT")


def _write(database: sqlite3.Connection, key: Key, lease: KeptLease | None) -> None:
    if lease is None:
        database.execute(_REMOVE, tuple(map(_bytes, key)))
    else:
        database.execute(_PUT, _row(lease))


def _leases(rows: Iterable[salvage.Row]) -> Iterator[KeptLease]:
    """Yield the leases of those rows that hold one."""
    for event, socket, text, expire_s, ends_at, *more in rows:
        if not (isinstance(event, bytes) and isinstance(socket, bytes) and isinstance(text, bytes)):
            continue
        if type(expire_s) is not int or expire_s < 0 or isinstance(ends_at, bytes):
            continue
        if ends_at is not None and not math.isfinite(ends_at):
            continue
        with suppress(UnicodeDecodeError):
            interface = _text(more[0]) if more and isinstance(more[0], bytes) else ""
            limited_s = min(expire_s, _LONGEST_S)
            yield KeptLease(_text(event), _text(socket), _text(text), limited_s, ends_at, interface)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _row(lease: KeptLease) -> tuple[bytes, bytes, bytes, int, float | None, bytes]:
    event, socket, text, interface = map(_bytes, (lease.event, lease.socket, lease.text, lease.interface))
    return event, socket, text, lease.expire_s, lease.ends_at, interface
