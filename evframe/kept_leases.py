"""The file in which leases outlive the process: an SQLite database."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Final

import attrs

_VERSION: Final = 1
_BUSY_S: Final = 1.0
_PUT: Final = "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)"
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS leases ("
    " event BLOB NOT NULL, socket BLOB NOT NULL, text BLOB NOT NULL, expire_s INTEGER NOT NULL, ends_at REAL,"
    " PRIMARY KEY (event, socket)) WITHOUT ROWID"
)


@attrs.frozen
class KeptLease:
    """One lease: *ends_at* is Unix time in seconds, None for one that never ends; *text* may hold secrets."""

    event: str
    socket: str
    text: str = attrs.field(repr=False)
    expire_s: int
    ends_at: float | None


class LeaseFile:
    """Keeps leases so that each change survives the end of the process, however it ends.

    A change is in the hands of the operating system when its call returns; what a power failure
    takes are the last changes, never the file.

    Args:
        path: the database; only its owner may read it, because sockets can hold passwords.

    Raises:
        OSError: if the file cannot be used, or another process uses it.
        sqlite3.DatabaseError: if it is not a database of this kind.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._database = self._open()
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> sqlite3.Connection:
        database = self._connect()
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version not in {0, _VERSION}:
                raise sqlite3.DatabaseError(f"expected version {_VERSION}, got {version!r}")
            database.execute("PRAGMA journal_mode = WAL")
            # The journal reaches the disk when it is folded into the file, which `fold` does elsewhere.
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA wal_autocheckpoint = 0")
            database.execute(_SCHEMA)
            database.execute(f"PRAGMA user_version = {_VERSION}")
        except BaseException:
            database.close()
            raise
        return database

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise OSError(str(error)) from None

    def read(self) -> list[KeptLease]:
        """Return every lease."""
        rows = self._database.execute("SELECT event, socket, text, expire_s, ends_at FROM leases")
        return [
            KeptLease(_text(event), _text(socket), _text(text), expire_s, ends_at)
            for event, socket, text, expire_s, ends_at in rows
        ]

    def put(self, lease: KeptLease) -> None:
        """Keep a lease, in the place of the one with its event and socket."""
        self._database.execute(_PUT, _row(lease))

    def remove(self, event: str, socket: str) -> None:
        """Forget a lease, if it is there."""
        self._database.execute("DELETE FROM leases WHERE event = ? AND socket = ?", (_bytes(event), _bytes(socket)))

    def replace(self, leases: Iterable[KeptLease]) -> None:
        """Keep these leases and no others; of those with one event and socket the last."""
        with self._database as database:
            database.execute("BEGIN")
            database.execute("DELETE FROM leases")
            database.executemany(_PUT, map(_row, leases))

    def fold(self) -> None:
        """Move the journal into the file, which waits for the disk; from any thread."""
        with closing(self._connect()) as database:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Let the file go."""
        self._database.close()
        # Not before: the locks of a process on a file end with any of its descriptors.
        os.close(self._lock)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _row(lease: KeptLease) -> tuple[bytes, bytes, bytes, int, float | None]:
    return _bytes(lease.event), _bytes(lease.socket), _bytes(lease.text), lease.expire_s, lease.ends_at
