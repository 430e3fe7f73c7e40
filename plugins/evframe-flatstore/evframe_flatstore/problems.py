"""Why a file takes no lines, as a reason for `Unavailable`."""

from __future__ import annotations

import errno
from typing import Final

_REASONS: Final = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.ENOENT: "no_directory",
    errno.ENOTDIR: "no_directory",
    errno.EACCES: "no_permission",
    errno.EPERM: "no_permission",
    errno.EROFS: "read_only",
    errno.EIO: "io_error",
    errno.EISDIR: "is_directory",
    errno.EMFILE: "too_many_files",
    errno.ENFILE: "too_many_files",
    errno.ENXIO: "no_reader",
    errno.EPIPE: "no_reader",
    errno.EAGAIN: "pipe_full",
    errno.EFBIG: "file_too_large",
}


def problem_of(error: OSError) -> str:
    """Return the word for an error of the system."""
    number = error.errno or 0
    return _REASONS.get(number) or errno.errorcode.get(number, "os_error").lower()
