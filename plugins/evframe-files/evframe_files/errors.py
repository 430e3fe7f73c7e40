"""Which errors of SQLite mean damage, and which ones may pass while the process runs."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

_DAMAGE: Final = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_TOOBIG,
}  # the last is of a record's head
_MISSING: Final = ("no such table", "no such column", "has no column")
_NO_TEXT: Final = "decode to UTF-8"  # an error of the module, which has no code
_PASSING: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


def is_damage(error: BaseException) -> bool:
    """Return whether a file has to be made again of what can be read of it.

    SQLite calls it damaged, a text in it is no UTF-8, or a table or a column of it is gone. A full disk, a lock or a
    missing permission is no damage.
    """
    if not isinstance(error, sqlite3.Error):
        return False
    code, text = getattr(error, "sqlite_errorcode", None), str(error)
    if code is None:
        return _NO_TEXT in text
    return code & 0xFF in _DAMAGE or any(each in text for each in _MISSING)


def may_pass(error: BaseException) -> bool:
    """Return whether the cause of an error may end while the process runs, such as a full disk or a lock."""
    return isinstance(error, sqlite3.Error) or (isinstance(error, OSError) and error.errno in _PASSING)
