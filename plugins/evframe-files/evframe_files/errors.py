"""Which errors of SQLite mean damage, and which ones may pass while the process runs."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PASSING: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


def is_damage(error: BaseException) -> bool:
    """Return whether SQLite calls the file damaged: a full disk, a lock or a missing permission is no damage."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and code is not None and code & 0xFF in _DAMAGE


def may_pass(error: BaseException) -> bool:
    """Return whether the cause of an error may end while the process runs, such as a full disk or a lock."""
    return isinstance(error, sqlite3.Error) or (isinstance(error, OSError) and error.errno in _PASSING)
