"""The file of the journal: an SQLite database, which one thread writes and reads."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import attrs
from evframe_files.database import DatabaseFile, Kind, transaction

from evframe_journal.bounds import Kept
from evframe_journal.frames import DamagedFrameError, Frame
from evframe_journal.journal import Commit
from evframe_journal.letters import SCHEMA as OF_LETTERS
from evframe_journal.letters import Filter, LetterTable, Page, upgrade

_Result = TypeVar("_Result")
_AT_A_TIME: Final = 4  # frames that are read
_PAGES: Final = 2000  # of the write-ahead log, after which it is folded into the file
_LOW: Final = "INSERT INTO subscribers VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET low = excluded.low"
_READ: Final = "SELECT first, body FROM frames WHERE key = ? AND last >= ? ORDER BY last LIMIT ?"
_BEGUN: Final = (
    "SELECT f.key, f.first, f.body FROM frames f JOIN subscribers s ON f.key = s.key"
    " WHERE f.first < s.low AND f.last >= s.low"
)
_KEPT: Final = (
    "SELECT s.key, s.low, max(s.low, coalesce(max(f.last) + 1, 0)), coalesce(sum(f.count), 0)"
    " FROM subscribers s LEFT JOIN frames f ON f.key = s.key AND f.last >= s.low GROUP BY s.key"
)
_FRAMES: Final = (
    "CREATE TABLE frames ("
    " key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, body BLOB NOT NULL"
    ")"
)

KIND: Final = Kind(
    "events that wait",
    version=2,
    upgrades={1: upgrade},
    schema=(
        "CREATE TABLE subscribers (key TEXT PRIMARY KEY, low INTEGER NOT NULL) WITHOUT ROWID",
        _FRAMES,
        "CREATE UNIQUE INDEX places ON frames (key, last)",
        *OF_LETTERS,
    ),
    table="frames",
    application=0x65766A6E,
    settings=("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", f"PRAGMA wal_autocheckpoint = {_PAGES}"),
    reserve_bytes=65_536,
)
"""The format of the file. A subscriber is named by the canonical text of its socket."""


class JournalFile:
    """Frames of events, on disk.

    Args:
        path: the database; only its owner may read it.

    Raises:
        OSError: if it cannot be used, or another process uses it.
        sqlite3.Error: if it cannot be opened, or is damaged.
    """

    def __init__(self, path: str) -> None:
        self._file = DatabaseFile(path, KIND)
        try:
            self._file.open()
        except BaseException:
            self._file.close()
            raise
        self._letters = LetterTable()
        self._thread = ThreadPoolExecutor(1, "journal")

    def kept(self) -> Mapping[str, Kept]:
        """Return what is kept for each subscriber."""
        database = self._file.database
        kept = {key: Kept(low, tail, count) for key, low, tail, count in database.execute(_KEPT)}
        for key, first, body in database.execute(_BEGUN):  # some events of such a frame are settled
            settled = sum(place < kept[key].low for place in Frame.decoded(key, first, body).positions)
            kept[key] = attrs.evolve(kept[key], count=kept[key].count - settled)
        return kept

    def write(self, commit: Commit, done: Callable[[BaseException | None], None]) -> None:
        """See `evframe_journal.journal.File`."""
        self._run(lambda: self._write(commit), lambda _, error: done(error))

    def _write(self, commit: Commit) -> None:
        database = self._file.database
        with transaction(database):
            database.executemany(_LOW, commit.lows.items())
            database.executemany(
                "INSERT OR IGNORE INTO subscribers VALUES (?, ?)",
                [(frame.key, frame.first) for frame in commit.frames],
            )
            database.executemany("INSERT INTO frames VALUES (?, ?, ?, ?, ?)", map(_row, commit.frames))
            database.executemany("DELETE FROM frames WHERE key = ? AND last < ?", commit.lows.items())
            if commit.letters is not None:
                self._letters.write(database, commit.letters)
        if commit.letters is not None:
            self._letters.written(database)

    def read(self, key: str, position: int, done: Callable[[Sequence[Frame], BaseException | None], None]) -> None:
        """See `evframe_journal.journal.File`."""
        self._run(lambda: self._read(key, position), done)

    def _read(self, key: str, position: int) -> Sequence[Frame]:
        rows = self._file.database.execute(_READ, (key, position, _AT_A_TIME))
        return [Frame.decoded(key, *row) for row in rows]

    def look(
        self, wanted: Filter, after: int, most: int, *, whole: bool, done: Callable[[Page, BaseException | None], None]
    ) -> None:
        """See `evframe_journal.dead.Reading`."""
        self._run(lambda: LetterTable.look(self._file.database, wanted, after, most, whole=whole), done)

    def last_id(self, done: Callable[[int, BaseException | None], None]) -> None:
        """See `evframe_journal.dead.Reading`."""
        self._run(lambda: LetterTable.last_id(self._file.database), done)

    def _run(self, work: Callable[[], _Result], done: Callable[[Any, BaseException | None], None]) -> None:
        loop = asyncio.get_running_loop()

        def over(future: Future[_Result]) -> None:
            error = future.exception()
            result = () if error is not None else future.result()
            if not loop.is_closed():
                loop.call_soon_threadsafe(done, result, error)

        self._thread.submit(work).add_done_callback(over)

    def close(self) -> None:
        """Close the file, after the work that was begun."""
        self._thread.shutdown(wait=True)
        self._file.close()


def _row(frame: Frame) -> tuple[str, int, int, int, bytes]:
    first, body = frame.encoded()
    return frame.key, first, frame.last, len(frame.positions), body


PROBLEMS: Final = (OSError, sqlite3.Error, DamagedFrameError)
"""What can go wrong with the file."""
