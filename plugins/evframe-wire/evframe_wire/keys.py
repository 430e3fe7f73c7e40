"""Names of subscribers as text that can be encoded, such as in a file or a frame."""

from __future__ import annotations

from typing import Final

_BYTES: Final = "bytes:"  # no socket has this scheme


def key_of(canonical: str) -> str:
    """Return the name of the subscriber with the canonical text of a socket, which may have bytes that are no UTF-8."""
    try:
        canonical.encode()
    except UnicodeEncodeError:
        return _BYTES + canonical.encode("utf-8", "surrogateescape").hex()
    return canonical


def canonical_of(key: str) -> str:
    """Return the canonical text that `key_of` has made *key* of."""
    if not key.startswith(_BYTES):
        return key
    return bytes.fromhex(key.removeprefix(_BYTES)).decode("utf-8", "surrogateescape")
