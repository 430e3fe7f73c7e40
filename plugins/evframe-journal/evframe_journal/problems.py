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


class GoneError(OSError):
    """Raised when the file is not in its place."""


def needs_mending(error: BaseException) -> bool:
    """Return whether the file has to be made again, because it is damaged or gone."""
    return is_damage(error) or isinstance(error, GoneError)


def is_full(error: BaseException) -> bool:
    """Return whether there is no room for what was written."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _FULL
