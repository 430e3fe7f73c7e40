"""The tables of the journal, and the statements that read and write them."""

from __future__ import annotations

import sqlite3
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import attrs
from evframe_files.database import Kind, transaction

from evframe_journal.bounds import Commit, Kept, Reading
from evframe_journal.frames import DamagedFrameError, Frame, positions_of
from evframe_journal.letters import SCHEMA as OF_LETTERS
from evframe_journal.letters import upgrade

_AT_A_TIME: Final = 4  # frames that are read
_MANY: Final = 2048  # events
_MOST_PAGES: Final = 2**32 - 2
_PAGES: Final = 2000  # of the write-ahead log, after which it is folded into the file
_LOW: Final = "INSERT INTO subscribers (key, low) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET low = excluded.low"
_NEW: Final = "INSERT OR IGNORE INTO subscribers (key, low) VALUES (?, ?)"
_MISSING: Final = "INSERT OR IGNORE INTO subscribers (key, low) SELECT key, min(first) FROM frames GROUP BY key"
_ON_FAILURE: Final = "UPDATE subscribers SET on_failure = ? WHERE key = ?"
_FRAME: Final = "INSERT OR REPLACE INTO frames VALUES (?, ?, ?, ?, ?)"
_READ: Final = "SELECT first, body, count, last, rowid FROM frames WHERE key = ? AND last >= ? ORDER BY last LIMIT ?"
_BEGUN: Final = (
    "SELECT f.key, f.first, f.rowid, s.low FROM frames f JOIN subscribers s ON f.key = s.key"
    " WHERE f.first < s.low AND f.last >= s.low"
)
_KEPT: Final = (
    "SELECT s.key, s.low, max(s.low, coalesce(max(f.last) + 1, 0)), coalesce(sum(f.count), 0),"
    " coalesce(sum(length(f.body)), 0), s.on_failure = 'dead_letter'"
    " FROM subscribers s LEFT JOIN frames f ON f.key = s.key AND f.last >= s.low GROUP BY s.key"
)
_COUNT: Final = "SELECT coalesce(sum(count), 0) FROM frames WHERE key = ? AND last >= ?"
_FRAMES: Final = (
    "CREATE TABLE frames ("
    " key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, body BLOB NOT NULL"
    ")"
)
_COLUMN: Final = "on_failure TEXT NOT NULL DEFAULT 'count'"  # or 'dead_letter'; an index has rows of other types
_DAMAGED: Final = (
    "CREATE TABLE damaged ("
    " at REAL NOT NULL, key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,"
    " body BLOB NOT NULL"
    ")"
)
_LETTER: Final = (
    "INSERT OR IGNORE INTO dead VALUES"
    " (?, ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), ?, ?)"
)
_LETTERS: Final = (
    "SELECT id, at, first_raised, CAST(event AS BLOB), CAST(socket AS BLOB), CAST(reason AS BLOB),"
    " CAST(detail AS BLOB), attempts, payload FROM dead"
)
DELETE: Final = "DELETE FROM frames WHERE rowid = ?"
_PUT_ASIDE: Final = "INSERT INTO damaged VALUES (?, ?, ?, ?, ?, ?)"
_ASIDE: Final = "INSERT INTO damaged SELECT ?, key, first, last, count, body FROM frames WHERE rowid = ?"

KIND: Final = Kind(
    "events that wait",
    version=5,
    schema=(
        f"CREATE TABLE subscribers (key TEXT PRIMARY KEY, low INTEGER NOT NULL, {_COLUMN}) WITHOUT ROWID",
        _FRAMES,
        "CREATE UNIQUE INDEX places ON frames (key, last)",
        *OF_LETTERS,
        _DAMAGED,
    ),
    table="frames",
    application=0x65766A6E,
    upgrades={
        1: upgrade,
        2: lambda database: database.execute(_DAMAGED),
        3: lambda database: database.execute(f"ALTER TABLE subscribers ADD COLUMN {_COLUMN}"),
        4: lambda database: database,
    },
    settings=("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", f"PRAGMA wal_autocheckpoint = {_PAGES}"),
    reserve_bytes=65_536,
)
"""The format of the file. A subscriber is named by the canonical text of its socket.

The first version has no table for dead letters, and the second one none for damaged frames.
The third one does not say whose events become dead letters when they fail: they are counted.
In the fourth one no event has headers, and its programs would take them for a part of the payload.
"""


def kept(database: sqlite3.Connection) -> dict[str, Kept]:
    """Return what is kept for each subscriber; of frames with settled events, the positions alone are read."""
    rows = database.execute(_KEPT)
    found = {key: Kept(low, tail, count, size, bool(has_letters)) for key, low, tail, count, size, has_letters in rows}
    for key, first, row, low in database.execute(_BEGUN).fetchall():
        with database.blobopen("frames", "body", row, readonly=True) as body, suppress(ValueError):
            settled = bisect_left(positions_of(first, body.read), low)
            found[key] = attrs.evolve(found[key], count=found[key].count - settled)
    return found


def count_from(database: sqlite3.Connection, key: str, position: int) -> int:
    """Return how many events the frames of *key* have that end at *position* or behind it."""
    (count,) = database.execute(_COUNT, (key, position)).fetchone()
    return int(count)


def write(database: sqlite3.Connection, commit: Commit) -> None:
    """Delete the frames below the lowest positions of *commit*, and write its frames, for which there is more room."""
    database.executemany(_LOW, commit.lows.items())
    database.executemany("DELETE FROM frames WHERE key = ? AND last < ?", commit.lows.items())
    database.executemany(_NEW, [(frame.key, frame.first) for frame in commit.frames])
    database.executemany(_FRAME, map(_row, commit.frames))
    wanted = commit.has_letters.items()
    database.executemany(_ON_FAILURE, [("dead_letter" if has_letters else "count", key) for key, has_letters in wanted])


def insert(database: sqlite3.Connection, frame: Frame) -> None:
    """Write one frame."""
    database.execute(_FRAME, _row(frame))


def read(database: sqlite3.Connection, key: str, position: int, most: int) -> Reading:
    """Return events of *key* from *position* on; a damaged frame is put aside, but for what can be read of it.

    These are at most *most* events, and the rest of a frame if that is many.
    """
    frames: list[Frame] = []
    is_exact = most < _MANY  # else a frame would be read and checked a second time for its rest
    damaged: dict[int, Frame | None] = {}  # by row, what can be read
    damaged_count = 0
    lost: list[int] = []
    end = position
    for first, body, count, last, row in database.execute(_READ, (key, position, _AT_A_TIME)):
        end = last + 1
        frame: Frame | None
        try:
            frame = Frame.decoded(key, first, body, position, most if is_exact else sys.maxsize)
        except DamagedFrameError as error:
            damaged[row] = error.rest
            damaged_count += error.lost_from(position, first, last, count)
            lost += [place for place in error.lost or () if place >= position]
            frame = error.rest and error.rest.since(position)
        if frame is None:
            continue
        frames.append(frame)
        most -= len(frame.positions)
        if most <= 0:
            end = max(frame.last, last if row in damaged else frame.last) + 1
            break
    if damaged:
        with transaction(database):
            for row, rest in damaged.items():
                put_aside(database, row, rest)
    return Reading(frames, end, damaged_count, lost)


def bound(database: sqlite3.Connection, most_bytes: int) -> None:
    """Have SQLite refuse what makes the file larger than *most_bytes*, or than it is; 0 for any size."""
    (size,) = database.execute("PRAGMA page_size").fetchone()
    pages = most_bytes // size if most_bytes else _MOST_PAGES
    database.execute(f"PRAGMA max_page_count = {pages}").fetchone()


def put_aside(database: sqlite3.Connection, row: int, rest: Frame | None) -> None:
    """Move a frame to the table of damaged ones, and put *rest* in its place, within a transaction."""
    database.execute(_ASIDE, (time.time(), row))
    database.execute(DELETE, (row,))
    if rest is not None:
        insert(database, rest)


def every_row(database: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of all tables, up to one that cannot be read."""
    for statement in ("SELECT * FROM subscribers", "SELECT * FROM frames", "SELECT * FROM damaged", _LETTERS):
        with suppress(sqlite3.DatabaseError):
            yield from database.execute(statement)


def filling(
    rows: Iterable[tuple[Any, ...]],
    loaded: Mapping[str, int],
    memory: Commit,
    failed: Mapping[str, int],
    damaged: dict[str, int],
) -> Callable[[sqlite3.Connection], object]:
    """Return what fills a new file with those of *rows* that are of this format, and with what is in memory.

    Args:
        rows: of another file, in any order.
        loaded: by subscriber, the position below which the other file is not asked.
        memory: the events below that are not settled, and by subscriber the lowest position that is not.
        failed: by subscriber, the position below which the other file has events that are being discarded.
        damaged: gets how many events the frames lack that are put aside, by subscriber.
    """

    def fill(database: sqlite3.Connection) -> None:
        damaged.clear()  # of an attempt that has failed
        for row in rows:
            with suppress(ValueError, TypeError, AttributeError, sqlite3.IntegrityError):
                _take(database, row, loaded, failed, damaged)
        database.execute(_MISSING)
        write(database, memory)

    return fill


def _take(
    database: sqlite3.Connection,
    row: tuple[Any, ...],
    loaded: Mapping[str, int],
    failed: Mapping[str, int],
    damaged: dict[str, int],
) -> None:
    """Insert a row of another file, unless it is in memory, or no row of these tables."""
    match row:
        case (bytes() | str() as name, int() as low) | (bytes() | str() as name, int() as low, bytes() | str()):
            key = _text(name)
            if ":" in key:  # as in every socket; a table of SQLite has such rows, too
                database.execute(_LOW, (key, low))
                database.execute(_ON_FAILURE, (_text(row[2]) if len(row) > 2 else "count", key))
        case bytes() | str() as name, int() as first, int() as last, int() as count, bytes() as body:
            key = _text(name)
            start = loaded.get(key, -sys.maxsize)
            if last < failed.get(key, -sys.maxsize):
                start = -sys.maxsize
            if last >= start:
                lost = _take_frame(database, (key, first, last, count, body), start)
                damaged[key] = damaged.get(key, 0) + lost
        case float() as at, bytes() | str() as name, int() as first, int() as last, int() as count, bytes() as body:
            database.execute(_PUT_ASIDE, (at, _text(name), first, last, count, body))
        case _, _, _, bytes(), bytes(), bytes(), bytes(), int(), bytes():
            database.execute(_LETTER, row)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def _take_frame(database: sqlite3.Connection, row: tuple[str, int, int, int, bytes], start: int) -> int:
    """Insert a frame, and put it aside if it is damaged; return how many events are lost with it."""
    key, first, last, count, body = row
    try:
        frame = Frame.decoded(key, first, body, start)
    except DamagedFrameError as error:
        database.execute(_PUT_ASIDE, (time.time(), *row))
        rest = error.rest and error.rest.since(start)
        if rest is not None:
            insert(database, rest)
        return error.lost_from(start, first, last, count)
    database.execute(_FRAME, row if first >= start else _row(frame))
    return 0


def _row(frame: Frame) -> tuple[str, int, int, int, bytes]:
    first, body = frame.encoded()
    return frame.key, first, frame.last, len(frame.positions), body
