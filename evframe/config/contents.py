"""Options that name files, and compare as different when the contents of the files have changed."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any

import attrs


def contents_of(*names: str) -> Any:
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
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return hashlib.file_digest(file, "blake2b").digest()
    except (OSError, ValueError):
        pass
    return None
