"""Dead letters on disk: events that have failed for good, in a table of the journal's file, with bounds."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import translate
from typing import Any, Final

import attrs
from evframe_files.database import transaction

_TABLE: Final = (
    "CREATE TABLE dead ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, first_raised REAL NOT NULL, event TEXT NOT NULL,"
    " socket TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, attempts INTEGER NOT NULL,"
    " payload BLOB NOT NULL)"
)
SCHEMA: Final = (_TABLE, "CREATE INDEX dead_at ON dead (at)")
"""The statements that make the table."""
OVERHEAD: Final = 256
"""The bytes that a letter counts for, beside its payload and its names."""
STEP: Final = 4096
"""How many letters one read looks at, or one write drops because of their age, so that the next commit is soon."""
_PAGE_BYTES: Final = 8 << 20  # of the payloads that one read returns
# Names and sockets may have bytes that are no UTF-8, which Python neither writes nor reads as text.
_SIZE: Final = f"length(payload) + length(CAST(event AS BLOB)) + length(CAST(socket AS BLOB)) + {OVERHEAD}"
_INSERT: Final = (
    "INSERT INTO dead (at, first_raised, event, socket, reason, detail, attempts, payload)"
    " VALUES (?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, ?)"
)
_COLUMNS: Final = (
    "id, at, first_raised, CAST(event AS BLOB), CAST(socket AS BLOB), reason, detail, attempts, length(payload)"
)
_AGAIN: Final = "UPDATE dead SET at = ?, reason = ?, detail = ?, attempts = attempts + 1 WHERE id = ?"
_AMONG: Final = "IN (SELECT value FROM json_each(?))"
_REMOVE: Final = f"DELETE FROM dead WHERE id {_AMONG} RETURNING {_SIZE}"  # noqa: S608 constants of this module
_OLDEST: Final = f"SELECT id, {_SIZE} FROM dead ORDER BY id LIMIT {STEP}"  # noqa: S608 as above
_AGED: Final = f"SELECT id FROM dead WHERE at < ? ORDER BY at LIMIT {STEP}"  # noqa: S608 as above
_TALLY: Final = f"SELECT count(*), coalesce(sum({_SIZE}), 0) FROM dead"  # noqa: S608 as above
_LOOK: Final = f"SELECT {_COLUMNS} FROM dead WHERE id > ? ORDER BY id LIMIT {STEP}"  # noqa: S608 as above
_THESE: Final = f"SELECT {_COLUMNS} FROM dead WHERE id > ? AND id {_AMONG} ORDER BY id"  # noqa: S608 as above
_PAYLOADS: Final = f"SELECT id, payload FROM dead WHERE id {_AMONG}"  # noqa: S608 as above


@attrs.frozen
class Letter:
    """An event that has failed for good."""

    id: int
    at: float
    """When it failed last, in seconds of the wall clock since the epoch, as *first_raised*."""
    first_raised: float
    event: str
    socket: str
    """The canonical text of the subscriber's socket, which has no secrets."""
    reason: str
    detail: str
    """The text of the error, if one is known."""
    attempts: int
    """How often it has failed: once, and once with each replay."""
    size: int
    """The bytes of the payload."""
    payload: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class Filter:
    """Which letters are meant: those that fit all of it."""

    ids: tuple[int, ...] = ()
    """Ascending; none for any."""
    socket: str | None = None
    """A pattern of canonical sockets, as in ``[[policies]]``."""
    event: str | None = None
    """A pattern of names."""
    reason: str | None = None
    before: float | None = None
    """Those that failed before, in seconds of the wall clock."""
    since: float | None = None
    """Those that failed then or later."""
    up_to: int | None = None
    """The highest id; the letters that come later have higher ones."""

    @property
    def is_empty(self) -> bool:
        """Whether every letter fits."""
        return attrs.evolve(self, up_to=None) == Filter()

    def test(self) -> Callable[[Letter], bool]:
        """Return a function that returns whether a letter fits, but for its id."""
        socket, event = _compiled(self.socket), _compiled(self.event)

        def fits(letter: Letter) -> bool:
            is_named = socket.fullmatch(letter.socket) and event.fullmatch(letter.event)
            is_timely = (self.before is None or letter.at < self.before) and (
                self.since is None or letter.at >= self.since
            )
            return bool(is_named) and is_timely and self.reason in {None, letter.reason}

        return fits


def _compiled(pattern: str | None) -> re.Pattern[str]:
    return re.compile(translate("*" if pattern is None else pattern))


@attrs.frozen
class Page:
    """Letters that fit a filter, ascending by id."""

    letters: Sequence[Letter]
    next: int | None
    """The id after which the next page begins; None when this is the last one."""


@attrs.frozen
class Bounds:
    """How much the table may hold."""

    most_bytes: int
    """Of payloads and names, and `OVERHEAD` for each letter."""
    max_age_s: float
    """0 for any age."""


@attrs.define
class Changes:
    """What one commit changes in the table."""

    added: Iterable[tuple[Any, ...]]
    """The columns of each new letter but for the id: the name and the socket as bytes."""
    removed: Sequence[int]
    """The ids of letters that are delivered, or dropped by a command."""
    again: Sequence[tuple[float, str, str, int]]
    """Of letters that failed again: the time, the reason, the detail and the id."""
    bounds: Bounds
    now: float
    """The wall clock."""
    dropped: int = 0
    """After the commit: how many letters the bounds have dropped."""
    count: int = 0
    """After the commit: how many letters there are."""
    bytes: int = 0
    """After the commit: how much they count for."""
    has_aged: bool = False
    """After the commit: whether more letters are too old."""


class LetterTable:
    """Writes and reads the table, on the thread of the file."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None  # that the tally is of
        self._count = self._bytes = 0

    @contextmanager
    def transaction(self, database: sqlite3.Connection) -> Iterator[None]:
        """Have the block and its changes of the table written, or nothing when it fails."""
        if self._database is not database:
            self._count, self._bytes = database.execute(_TALLY).fetchone()
            self._database = database
        before = self._count, self._bytes
        try:
            with transaction(database):
                yield
        except BaseException:
            self._count, self._bytes = before
            raise

    def write(self, database: sqlite3.Connection, changes: Changes) -> None:
        """Apply *changes*, within a `transaction`."""
        database.executemany(_AGAIN, changes.again)
        if changes.removed:
            self._remove(database, changes.removed)
        for row in changes.added:
            self._insert(database, row)
        self.bound(database, changes)

    def bound(self, database: sqlite3.Connection, changes: Changes) -> None:
        """Drop what is above the bounds, within a `transaction`, and put the sums into *changes*."""
        changes.dropped += self._drop_aged(database, changes) + self._drop_oldest(database, changes.bounds.most_bytes)
        changes.count, changes.bytes = self._count, self._bytes

    def add(self, database: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], changes: Changes) -> None:
        """Add letters, within a `transaction`; the oldest ones make room before that."""
        size = sum(map(_size_of, rows))
        changes.dropped += self._drop_oldest(database, max(0, changes.bounds.most_bytes - size))
        for row in rows:
            self._insert(database, row)

    def _insert(self, database: sqlite3.Connection, row: tuple[Any, ...]) -> None:
        database.execute(_INSERT, row)
        self._count += 1
        self._bytes += _size_of(row)

    def _remove(self, database: sqlite3.Connection, ids: Iterable[int]) -> int:
        sizes = [size for (size,) in database.execute(_REMOVE, (json.dumps(list(ids)),))]
        self._count -= len(sizes)
        self._bytes -= sum(sizes)
        return len(sizes)

    def _drop_aged(self, database: sqlite3.Connection, changes: Changes) -> int:
        if not changes.bounds.max_age_s:
            return 0
        ids = [each for (each,) in database.execute(_AGED, (changes.now - changes.bounds.max_age_s,))]
        changes.has_aged = len(ids) == STEP
        return self._remove(database, ids) if ids else 0

    def _drop_oldest(self, database: sqlite3.Connection, most_bytes: int) -> int:
        dropped = 0
        while self._bytes > most_bytes and self._count:
            dropped += self._remove(database, _ids_of(database.execute(_OLDEST), self._bytes - most_bytes))
        return dropped

    @staticmethod
    def look(database: sqlite3.Connection, wanted: Filter, after: int, most: int, *, whole: bool) -> Page:
        """Return at most *most* letters that fit, of the next `STEP` with ids above *after*; *whole* with payloads."""
        rows = (
            database.execute(_THESE, (after, json.dumps(wanted.ids[:STEP])))
            if wanted.ids
            else database.execute(_LOOK, (after,))
        )
        fits = wanted.test()
        found: list[Letter] = []
        at, looked, size = after, 0, 0
        for row in rows:
            letter = _letter(*row)
            if wanted.up_to is not None and letter.id > wanted.up_to:
                looked = 0
                break
            if fits(letter):
                size += letter.size
                if len(found) == most or (whole and found and size > _PAGE_BYTES):
                    return Page(_with_payloads(database, found) if whole else found, at)
                found.append(letter)
            at, looked = letter.id, looked + 1
        is_last = bool(wanted.ids) or looked < STEP
        return Page(_with_payloads(database, found) if whole else found, None if is_last else at)

    @staticmethod
    def last_id(database: sqlite3.Connection) -> int:
        """Return the highest id in the table; 0 when it is empty."""
        return int(database.execute("SELECT coalesce(max(id), 0) FROM dead").fetchone()[0])


def _size_of(row: tuple[Any, ...]) -> int:
    return len(row[7]) + len(row[2]) + len(row[3]) + OVERHEAD


def _letter(id_: int, at: float, first_raised: float, event: bytes, socket: bytes, *more: Any) -> Letter:
    name, canonical = event.decode("utf-8", "surrogateescape"), socket.decode("utf-8", "surrogateescape")
    return Letter(id_, at, first_raised, name, canonical, *more)


def _ids_of(rows: Iterable[tuple[int, int]], size: int) -> Iterator[int]:
    """Yield the ids of the first letters that count for *size* bytes together."""
    for each, bytes_ in rows:
        if size <= 0:
            return
        size -= bytes_
        yield each


def _with_payloads(database: sqlite3.Connection, letters: Sequence[Letter]) -> Sequence[Letter]:
    payloads = dict(database.execute(_PAYLOADS, (json.dumps([letter.id for letter in letters]),)))
    return [attrs.evolve(letter, payload=payloads[letter.id]) for letter in letters]


def upgrade(database: sqlite3.Connection) -> None:
    """Add the table to a file of version 1."""
    for statement in SCHEMA:
        database.execute(statement)
