"""Secrets that are kept in files, out of the configuration."""

from __future__ import annotations

import os
import stat

_MOST_BYTES = 4096


def read_secret(path: str) -> str:
    """Return the only line of a file that others cannot read.

    Raises:
        ValueError: if it cannot be read, or others may read or write it, or it is not one line of text.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MOST_BYTES + 1) if stat.S_ISREG(mode) else b""
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"expected a file that can be read, got {path!r}: {problem}") from None
    if mode & 0o007:
        raise ValueError(f"expected a file that others cannot use (chmod o= {path}), got mode {stat.S_IMODE(mode):o}")
    try:
        secret = text.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        secret = ""
    if not secret.isprintable() or not secret or len(text) > _MOST_BYTES:
        raise ValueError(f"expected one line of text in {path!r}")
    return secret
