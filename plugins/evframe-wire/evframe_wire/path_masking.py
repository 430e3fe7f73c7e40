"""What of a path may be shown: a part that looks like a secret is shown as a mark.

The mark is the same for the same secret while the process runs, so that equal sockets have equal
texts and others have others; it says nothing about the secret.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from typing import Final, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

_KEY: Final = os.urandom(16)
_MARK: Final = re.compile(r"\*\*\*[0-9a-f]{12}")
_SPLIT: Final = re.compile(r"([/?&;])")
_SECRET: Final = re.compile(r"secret|token|passw|pwd|credential|auth|sign|sess|key", re.IGNORECASE)
_WORD: Final = r"(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15}){1,3}[0-9]{0,2}"
_PLAIN: Final = re.compile(rf"(?:{_WORD}|[0-9]{{1,5}})?(?:[._-](?:{_WORD}|[0-9]{{1,5}})){{0,3}}")


def masked(path: str, *, whole: bool = False) -> str:
    """Return *path* with a mark for each part that looks like a secret; with *whole*, for all of it."""
    if whole:
        return f"/{_mark(path)}" if path.strip("/") else path
    parts = _SPLIT.split(path)
    shown = [_part(part, parts[max(0, index - 2)]) for index, part in enumerate(parts)]
    return "".join(shown)


def is_masked(path: str) -> bool:
    """Return whether *path* has a mark in place of a secret."""
    return _MARK.search(path) is not None


class _Masked(Protocol):
    @property
    def path(self) -> str: ...

    @property
    def canonical(self) -> str: ...


_Socket = TypeVar("_Socket", bound=_Masked)


class KnownSockets(Generic[_Socket]):
    """The sockets in use by their canonical texts, which have marks in place of secrets."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[str, _Socket] = WeakValueDictionary()

    def resolved(self, found: _Socket) -> _Socket:
        """Return the socket that *found*, which was parsed of a text, is: one in use where its path has a mark.

        Raises:
            ValueError: if its path has a mark, and no socket in use has this text.
        """
        if not is_masked(found.path):
            same = self._known.setdefault(found.canonical, found)
            return same if same == found else found
        known = self._known.get(found.canonical)
        if known is None:
            raise ValueError("expected the path itself, got one with a mark in place of a secret")
        return known


def _part(part: str, before: str) -> str:
    """Return what is shown of *part*, which follows the part *before*."""
    if part in {"", "/", "?", "&", ";"} or _MARK.fullmatch(part):
        return part
    name, equals, value = part.partition("=")
    if equals:
        is_shown = _PLAIN.fullmatch(name) and not _SECRET.search(name) and _PLAIN.fullmatch(value)
        return part if is_shown or not value or _MARK.fullmatch(value) else f"{name}={_mark(value)}"
    if _SECRET.search(part) or _SECRET.search(before) or not _PLAIN.fullmatch(part):
        return _mark(part)
    return part


def _mark(secret: str) -> str:
    digest = hmac.digest(_KEY, secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"***{digest[:6].hex()}"
