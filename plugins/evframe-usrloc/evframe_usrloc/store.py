"""The SQLite file: its schema, and reading and writing it; every call may wait for the disk."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, cast

import evframe_salvage as salvage

from evframe_usrloc.contacts import AOR, CALLID, DOMAIN, LATENCY, MODIFIED, URI, Binding, is_text, unpack
from evframe_usrloc.journal import Changes

VERSION: Final = 1
_APPLICATION: Final = 0x756C6F63
_BUSY_MS: Final = 5000
_MODE: Final = 0o600
_CACHE_KIB: Final = 65_536
_WAL_PAGES: Final = 16_384  # changes come in no order: a page that changes often is moved into the file once
# The latency is measured anew after a start, so that pings are not written.
_COLUMNS: Final = (
    "domain, aor, uri, received, path, qval, user_agent, socket, bflags, expires, callid, cseq, attr, "
    "shtag, flags, methods, modified, push"
)
_NAMES: Final = tuple(_COLUMNS.split(", "))
_KEY: Final = ("domain", "aor", "uri", "callid")
_STORED: Final = (*_KEY, *(name for name in _NAMES if name not in _KEY))  # the key is first in a row WITHOUT ROWID
_ESCAPE: Final = "surrogateescape"  # what is no UTF-8 is no text then
_NUMBERS: Final = frozenset({"qval", "bflags", "expires", "cseq", "flags", "methods", "modified", "push"})
_SCHEMA: Final = """
    CREATE TABLE contact (
        domain TEXT NOT NULL, aor TEXT NOT NULL, uri TEXT NOT NULL, received TEXT, path TEXT,
        qval INTEGER NOT NULL, user_agent TEXT NOT NULL, socket TEXT NOT NULL, bflags INTEGER NOT NULL,
        expires INTEGER NOT NULL, callid TEXT NOT NULL, cseq INTEGER NOT NULL, attr TEXT NOT NULL,
        shtag TEXT NOT NULL, flags INTEGER NOT NULL, methods INTEGER NOT NULL, modified REAL NOT NULL,
        push INTEGER NOT NULL, PRIMARY KEY (domain, aor, uri, callid)
    ) WITHOUT ROWID
"""
_INSERT: Final = f"INSERT OR REPLACE INTO contact ({_COLUMNS}) VALUES ({', '.join('?' * 18)})"  # noqa: S608 constants
_DELETE: Final = "DELETE FROM contact WHERE domain = ? AND aor = ? AND uri = ? AND callid IS coalesce(?, callid)"
_SELECT: Final = f"SELECT {_COLUMNS} FROM contact ORDER BY domain, aor, modified, uri, callid"  # noqa: S608 as above


class Store:
    """The contacts of a registry in a file; for one thread.

    Args:
        path: the file, which is made when it is not there.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)  # the journals are beside the file that a link leads to
        self._db: sqlite3.Connection | None = None
        self._rows: sqlite3.Cursor | None = None

    def open(self) -> None:
        """Open the file, for its owner alone, without waiting for a lock.

        Raises:
            OSError: if it cannot be made.
            sqlite3.Error: if it cannot be opened, perhaps only now.
            ValueError: if it is another program's, or of a later version.
        """
        _make_private(self._path)
        self._take_over()
        # The thread is another one when the interpreter is about to end.
        db = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            version = self._version(db)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            if not version:
                _create(db, ())
            db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        except BaseException:
            db.close()
            raise
        self._db = db

    @staticmethod
    def _version(db: sqlite3.Connection) -> int:
        """Return the version of the schema; 0 for a new file."""
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if application != _APPLICATION:
            if application or version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise ValueError("expected a store of usrloc or a new file, got another database")
            return 0
        if version != VERSION:
            raise ValueError(f"expected a store of version {VERSION}, got version {version}")
        return VERSION

    def read(self, most: int) -> list[Binding]:
        """Return up to *most* further contacts, by address; none once all were read."""
        if self._rows is None:
            self._rows = self._connection.execute(_SELECT)
        rows = self._rows.fetchmany(most)
        if not rows:
            self._rows = None
        return [(*row[:LATENCY], 0, *row[LATENCY:]) for row in rows]

    def write(self, parts: Iterable[Changes]) -> None:
        """Write changes, all or none."""
        db = self._connection
        with self._transaction():
            for changes in parts:
                db.executemany("DELETE FROM contact WHERE domain = ? AND aor = ?", changes.gone)
                db.executemany(_DELETE, changes.keys())
                db.executemany(_INSERT, map(_row, changes.kept()))

    def replace(self, domain: str, parts: Iterable[Iterable[bytes]]) -> None:
        """Write all contacts of a domain anew, and remove the ones that are not among them.

        Args:
            domain: the table.
            parts: the packed contacts of its addresses.
        """
        db = self._connection
        with self._transaction():
            db.execute("DELETE FROM contact WHERE domain = ?", (domain,))
            db.executemany(_INSERT, (_row(each) for part in parts for packed in part for each in unpack(packed)))

    def salvage(self) -> list[Binding]:
        """Return what can be read of a damaged file, by address; the file is closed after that."""
        self.close()
        found = filter(None, map(_binding, salvage.rows(self._path)))
        contacts = {(each[DOMAIN], each[AOR], each[URI], each[CALLID]): each for each in found}
        return sorted(
            contacts.values(), key=lambda each: (each[DOMAIN], each[AOR], each[MODIFIED], each[URI], each[CALLID])
        )

    def rebuild(self, contacts: Iterable[Binding]) -> str | None:
        """Put a new file with *contacts* in the place of a damaged one, open it, and return where that one is now."""
        part = f"{self._path}.part"
        for name in (part, f"{part}-journal"):
            with suppress(FileNotFoundError):
                os.unlink(name)
        _make_private(part)
        db = sqlite3.connect(part, isolation_level=None)
        try:
            _create(db, contacts)
        finally:
            db.close()
        os.replace(part, f"{self._path}.new")
        aside = self._take_over()
        self.open()
        return aside

    def _take_over(self) -> str | None:
        """Put a complete new file in its place, even one that an earlier process could not."""
        new = f"{self._path}.new"
        return salvage.set_aside(self._path, new) if os.path.exists(new) else None

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = self._rows = None

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.ProgrammingError("expected an open store")
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        db = self._connection
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _make_private(path: str) -> None:
    """Make the file where it is missing, and take it and its journals from all but their owner."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, _MODE)
    try:
        os.fchmod(descriptor, _MODE)
    finally:
        os.close(descriptor)
    for journal in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.chmod(path + journal, _MODE)


def _create(db: sqlite3.Connection, contacts: Iterable[Binding]) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute(_SCHEMA)
    db.executemany(_INSERT, map(_row, contacts))
    db.execute(f"PRAGMA application_id = {_APPLICATION}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def _binding(row: salvage.Row) -> Binding | None:
    """Return the contact of a row as it is in the file; None for a row of another kind."""
    if len(row) != len(_STORED):
        return None
    fields: dict[str, str | int | float | None] = {}
    for name, value in zip(_STORED, row, strict=True):
        if name == "modified" and isinstance(value, int | float) and math.isfinite(value):
            fields[name] = float(value)
        elif name in _NUMBERS and isinstance(value, int):
            fields[name] = value
        elif name not in _NUMBERS and isinstance(value, bytes) and is_text(text := value.decode("utf-8", _ESCAPE)):
            fields[name] = text
        elif value is None and name in {"received", "path"}:
            fields[name] = None
        else:
            return None
    values = [fields[name] for name in _NAMES]
    return cast("Binding", (*values[:LATENCY], 0, *values[LATENCY:]))


def _row(binding: Binding) -> tuple[object, ...]:
    return (*binding[:LATENCY], *binding[LATENCY + 1 :])
