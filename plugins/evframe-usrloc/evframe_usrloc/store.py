"""The SQLite file: its schema, and reading and writing it; every call may wait for the disk."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable
from typing import Final, cast

from evframe_files.database import DatabaseFile, Kind, transaction
from evframe_files.errors import is_damage
from evframe_files.pages import Row

from evframe_usrloc.contacts import AOR, CALLID, DOMAIN, LATENCY, MODIFIED, URI, Binding, is_text, unpack
from evframe_usrloc.journal import Changes

VERSION: Final = 1
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
KIND: Final = Kind(
    "contacts",
    version=VERSION,
    schema=(_SCHEMA,),
    table="contact",
    application=0x756C6F63,
    settings=(
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA cache_size = -65536",  # KiB
        "PRAGMA wal_autocheckpoint = 16384",  # changes come in no order: a page that changes often is moved once
        "PRAGMA busy_timeout = 5000",  # ms, not before: the start does not wait
    ),
)
"""The format of the file."""
_INSERT: Final = f"INSERT OR REPLACE INTO contact ({_COLUMNS}) VALUES ({', '.join('?' * 18)})"  # noqa: S608 constants
_DELETE: Final = "DELETE FROM contact WHERE domain = ? AND aor = ? AND uri = ? AND callid IS coalesce(?, callid)"
_SELECT: Final = f"SELECT {_COLUMNS} FROM contact ORDER BY domain, aor, modified, uri, callid"  # noqa: S608 as above


class Store:
    """The contacts of a registry in a file; for one thread at a time.

    Args:
        path: the file, which is made when it is not there.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: DatabaseFile | None = None
        self._rows: sqlite3.Cursor | None = None

    def open(self) -> None:
        """Open the file, for its owner alone, without waiting for a lock.

        Raises:
            OSError: if it cannot be made, another process uses it, or it is another program's or of a later version.
            sqlite3.Error: if it cannot be opened, perhaps only now; a store of ours that is damaged can be salvaged.
        """
        file = DatabaseFile(self._path, KIND)
        try:
            file.open()
        except BaseException as error:
            if is_damage(error) and file.has_mark:
                self._file = file
            else:
                file.close()
            raise
        self._file = file

    @property
    def is_damaged(self) -> bool:
        """Whether it could not be opened because of damage, and can be salvaged."""
        return self._file is not None and not self._file.is_open

    def read(self, most: int) -> list[Binding]:
        """Return up to *most* further contacts, by address; none once all were read."""
        if self._rows is None:
            self._rows = self._opened.database.execute(_SELECT)
        rows = self._rows.fetchmany(most)
        if not rows:
            self._rows = None
        return [(*row[:LATENCY], 0, *row[LATENCY:]) for row in rows]

    def write(self, parts: Iterable[Changes]) -> None:
        """Write changes, all or none."""
        db = self._opened.database
        with transaction(db):
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
        db = self._opened.database
        with transaction(db):
            db.execute("DELETE FROM contact WHERE domain = ?", (domain,))
            db.executemany(_INSERT, (_row(each) for part in parts for packed in part for each in unpack(packed)))

    def salvage(self) -> list[Binding]:
        """Return what can be read of a damaged file, by address, which is locked and not open after that."""
        self._rows = None
        found = filter(None, map(_binding, self._opened.salvage_rows()))
        contacts = {(each[DOMAIN], each[AOR], each[URI], each[CALLID]): each for each in found}
        return sorted(
            contacts.values(), key=lambda each: (each[DOMAIN], each[AOR], each[MODIFIED], each[URI], each[CALLID])
        )

    def rebuild(self, contacts: Iterable[Binding]) -> str | None:
        """Put a new file with *contacts* in the place of a damaged one, open it, and return where that one is now."""
        self._opened.shut()
        aside = self._opened.replace(lambda db: db.executemany(_INSERT, map(_row, contacts)))
        self._opened.open()
        return aside

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = self._rows = None

    @property
    def _opened(self) -> DatabaseFile:
        if self._file is None:
            raise sqlite3.ProgrammingError("expected an open store")
        return self._file


def _binding(row: Row) -> Binding | None:
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
