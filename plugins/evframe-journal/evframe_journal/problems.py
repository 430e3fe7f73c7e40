"""What can go wrong with the file, and what has to be done then."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from evframe_files.errors import is_damage

from evframe_journal.frames import DamagedFrameError

PROBLEMS: Final = (OSError, sqlite3.Error, DamagedFrameError)
"""What can go wrong with the file."""
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MISSING: Final = ("no such table", "no such column", "has no column")


class GoneError(OSError):
    """Raised when the file is not in its place."""


def is_spoilt(error: BaseException) -> bool:
    """Return whether the file has to be made again of what can be read of it.

    SQLite calls it damaged, or another program has dropped one of its tables.
    """
    is_missing = isinstance(error, sqlite3.OperationalError) and any(text in str(error) for text in _MISSING)
    return is_missing or is_damage(error)


def needs_mending(error: BaseException) -> bool:
    """Return whether the file has to be made again, because it is damaged or gone."""
    return is_spoilt(error) or isinstance(error, GoneError)


def is_full(error: BaseException) -> bool:
    """Return whether there is no room for what was written."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _FULL
