"""Options that name files: what is in the files belongs to them."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any

import attrs


def contents_of(*names: str) -> Any:
    """Return a field for a class of options, which are equal only while the files that they name hold the same.

    So a configuration that is loaded again brings about what another value would when only a file
    has changed, such as a token that was rotated. The field is no option; nobody has to read it.

    Args:
        names: of the options, each a path or None.
    """

    def digests(options: Any) -> tuple[bytes | None, ...]:
        return tuple(_digest(getattr(options, name)) for name in names)

    return attrs.field(init=False, repr=False, default=attrs.Factory(digests, takes_self=True))


def _digest(path: str | None) -> bytes | None:
    """Return what stands for the contents of a file; None where there is none, which is for others to tell."""
    if path is None:
        return None
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return hashlib.file_digest(file, "blake2b").digest()
    except (OSError, ValueError):
        pass
    return None
