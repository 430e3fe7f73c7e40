"""Secrets: in files, out of the configuration, and options that are secrets."""

from __future__ import annotations

import os
import stat
from typing import Any, Final, Self

from evframe_options.files import regular_file

_MOST_BYTES: Final = 4096
IS_SECRET: Final = "evframe.secret"  # noqa: S105 the name of a key
"""The key of a field's metadata, by which an option is a secret."""


def secret(*, in_url: bool = False) -> dict[str, Any]:
    """Return the metadata of a field whose option is a secret, a text or a table of texts.

    References such as ``${env:NAME}`` in the option are replaced by their values; the plugin gets a `Filled` text.

    Args:
        in_url: whether the option is a URL, in which values are percent-encoded.
    """
    return {IS_SECRET: "" if in_url else None}


class Filled(str):
    """A text with the values of its references, whose repr is the text as it is configured."""

    __slots__ = ("configured",)

    configured: str

    def __new__(cls, text: str, configured: str) -> Self:
        """Return *text*, which is *configured* with the values."""
        made = super().__new__(cls, text)
        made.configured = configured
        return made

    def __repr__(self) -> str:
        return repr(self.configured)


def read_secret(path: str) -> str:
    """Return the only line of a file that others cannot read.

    Raises:
        ValueError: if it cannot be read, or others may read or write it, or it is not one line of text.
    """
    try:
        with regular_file(path) as file:
            mode = os.fstat(file.fileno()).st_mode if file else 0
            text = file.read(_MOST_BYTES + 1) if file else b""
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
        size = "more" if len(text) > _MOST_BYTES else f"{len(text)} bytes in {len(text.splitlines())} lines"
        expected = f"one line of text in UTF-8, without control characters, of 1 to {_MOST_BYTES} bytes"
        raise ValueError(f"expected {expected}, in {path!r}, got {size}")
    return secret
