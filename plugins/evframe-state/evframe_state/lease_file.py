"""The file in which leases outlive the process: an SQLite database."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

import attrs
from evframe_files.database import DatabaseFile, Kind, transaction
from evframe_files.pages import Row

_LONGEST_S: Final = 2**31 - 1
_PUT: Final = "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)"
_REMOVE: Final = "DELETE FROM leases WHERE event = ? AND socket = ?"
_SCHEMA: Final = (
    "CREATE TABLE leases ("
    " event BLOB NOT NULL, socket BLOB NOT NULL, text BLOB NOT NULL, expire_s INTEGER NOT NULL, ends_at REAL,"
    " interface BLOB, policy BLOB,"
    " PRIMARY KEY (event, socket)) WITHOUT ROWID"
)


def _add_interface(database: sqlite3.Connection) -> None:
    """Have the column that the first version did not write; one that an interrupted upgrade has added stays."""
    if "interface" not in {column[1] for column in database.execute("PRAGMA table_info(leases)")}:
        database.execute("ALTER TABLE leases ADD COLUMN interface BLOB")


def _add_policy(database: sqlite3.Connection) -> None:
    """Have the column that the second version did not write."""
    if "policy" not in {column[1] for column in database.execute("PRAGMA table_info(leases)")}:
        database.execute("ALTER TABLE leases ADD COLUMN policy BLOB")


KIND: Final = Kind(
    "kept subscriptions",
    version=3,
    schema=(_SCHEMA,),
    table="leases",
    upgrades={1: _add_interface, 2: _add_policy},
    settings=(
        "PRAGMA journal_mode = WAL",
        # The journal reaches the disk when it is folded into the file, which `fold` does elsewhere.
        "PRAGMA synchronous = NORMAL",
        "PRAGMA wal_autocheckpoint = 0",
        "PRAGMA secure_delete = ON",  # a lease that has ended leaves no password
    ),
    reserve_bytes=65_536,
)
"""The format of the file; its first version lacks the interfaces that made the leases, the second the policies."""

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
    policy: str = ""
    """What was requested for it, in JSON; empty for nothing."""

    @property
    def key(self) -> Key:
        """The event and the canonical socket."""
        return self.event, self.socket


class LeaseFile(DatabaseFile):
    """Keeps leases so that each change survives the end of the process, however it ends.

    A change is in the hands of the operating system when its call returns; what a power failure
    takes are the last changes, never the file. No call waits for a lock: a file that another
    process has locked is an error, as a full disk is.

    Args:
        path: the database; only its owner may read it, because sockets can hold passwords.

    Raises:
        OSError: if the file cannot be used, or another gateway uses it.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, KIND)

    def read(self) -> list[KeptLease]:
        """Return every lease.

        Raises:
            sqlite3.Error: if it cannot be read.
        """
        return list(_leases(self.database.execute("SELECT * FROM leases")))

    def read_alone(self) -> list[KeptLease]:
        """Return every lease while the database is not open.

        Raises:
            sqlite3.Error: if it cannot be read.
        """
        with self.reading() as database:
            return list(_leases(database.execute("SELECT * FROM leases")))

    def salvage(self) -> list[KeptLease]:
        """Return what can be read of a damaged database, which is not open after that."""
        found = (row for row in self.salvage_rows() if len(row) in {5, 6, 7})
        return list({lease.key: lease for lease in _leases(found)}.values())

    def write(self, changes: Iterable[tuple[Key, KeptLease | None]]) -> None:
        """Keep leases, each in the place of the one with its event and socket; None removes that one."""
        database = self.database
        with transaction(database):
            for key, lease in changes:
                _write(database, key, lease)

    def put(self, lease: KeptLease) -> None:
        """Keep a lease, in the place of the one with its event and socket."""
        _write(self.database, lease.key, lease)

    def remove(self, key: Key) -> None:
        """Remove a lease, if the file has it."""
        _write(self.database, key, None)

    def rebuild(self, leases: Iterable[KeptLease]) -> str | None:
        """Put a new file with *leases* in the place of one that is damaged or gone; see `DatabaseFile.replace`."""
        return self.replace(lambda database: database.executemany(_PUT, map(_row, leases)))


def _write(database: sqlite3.Connection, key: Key, lease: KeptLease | None) -> None:
    if lease is None:
        database.execute(_REMOVE, tuple(map(_bytes, key)))
    else:
        database.execute(_PUT, _row(lease))


def _leases(rows: Iterable[Row]) -> Iterator[KeptLease]:
    """Yield the leases of those rows that hold one."""
    for event, socket, text, expire_s, ends_at, *more in rows:
        if not (isinstance(event, bytes) and isinstance(socket, bytes) and isinstance(text, bytes)):
            continue
        if type(expire_s) is not int or expire_s < 0 or isinstance(ends_at, bytes):
            continue
        if ends_at is not None and not math.isfinite(ends_at):
            continue
        with suppress(UnicodeDecodeError):
            more_texts = [_text(each) if isinstance(each, bytes) else "" for each in more]
            limited_s = min(expire_s, _LONGEST_S)
            yield KeptLease(_text(event), _text(socket), _text(text), limited_s, ends_at, *more_texts)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _row(lease: KeptLease) -> tuple[bytes, bytes, bytes, int, float | None, bytes, bytes]:
    event, socket, text = map(_bytes, (lease.event, lease.socket, lease.text))
    return event, socket, text, lease.expire_s, lease.ends_at, _bytes(lease.interface), _bytes(lease.policy)
