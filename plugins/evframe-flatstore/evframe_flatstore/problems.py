"""Why a file takes no lines, as a reason for `Unavailable`."""

from __future__ import annotations

import errno
import os
from typing import Final

_REASONS: Final = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.ENOENT: "no_directory",
    errno.ENOTDIR: "no_directory",
    errno.EEXIST: "no_directory",
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
# What holds for the other files of a folder, too, and passes with it.
_OF_THE_DISK: Final = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ESTALE,
}
MENDABLE: Final = {"no_reader", "pipe_full", "no_permission", "file_too_large", "no_directory"}
"""The reasons of one file that pass: lines that are kept wait then, those of other files in its folder do not."""
_PERMISSION: Final = {errno.EACCES, errno.EPERM}


def problem_of(error: OSError) -> str:
    """Return the word for an error of the system."""
    number = error.errno or 0
    return _REASONS.get(number) or errno.errorcode.get(number, "os_error").lower()


def is_of_file(error: OSError, root: str) -> bool:
    """Return whether one file takes no lines, while others in the folder *root* do: it is a folder, say."""
    if error.errno == errno.ENOENT:
        return error.filename is not None and os.path.islink(error.filename)
    if error.errno in _PERMISSION:
        return os.access(root, os.W_OK | os.X_OK)
    return error.errno not in _OF_THE_DISK and os.path.isdir(root)
