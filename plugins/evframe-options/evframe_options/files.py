"""Files that options name: opened without waiting, and compared by their digests."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any

import attrs


@contextmanager
def regular_file(path: str) -> Iterator[BufferedReader | None]:
    """Open *path* to read, without waiting for the writer of a pipe; yield None for what is no regular file."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        yield file if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def file_digests(*names: str) -> Any:
    """Return a field that makes two option objects unequal when a file that they name has changed.

    A reload therefore applies a changed file, such as a rotated token, like a changed value. The field
    is no option, and no code has to read it.

    Args:
        names: of the options, each a path or None.
    """

    def digests(options: Any) -> tuple[bytes | None, ...]:
        return tuple(_digest(getattr(options, name)) for name in names)

    return attrs.field(init=False, repr=False, default=attrs.Factory(digests, takes_self=True))


def _digest(path: str | None) -> bytes | None:
    """Return the digest of a file; None for a file that cannot be read, which the plugin reports when it reads it."""
    if path is None:
        return None
    try:
        with regular_file(path) as file:
            return None if file is None else hashlib.file_digest(file, "blake2b").digest()
    except (OSError, ValueError):
        return None
