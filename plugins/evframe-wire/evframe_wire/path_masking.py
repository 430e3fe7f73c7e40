"""What of a path may be shown: a part that looks like a secret is shown as a mark.

The mark is the same for the same secret while the process runs, so that equal sockets have equal
texts and others have others; it says nothing about the secret. Processes that find each other's
subscribers have the same marks (`share_marks`), with which a secret that is short may be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from evframe_wire.exceptions import SocketError

_COMMON_KEY: Final = b"evframe"
_keys: Final = [os.urandom(16)]
_MARK: Final = re.compile(r"\*\*\*[0-9a-f]{12}")
_SPLIT: Final = re.compile(r"([/?&;])")
_SECRET: Final = re.compile(r"secret|token|passw|pwd|credential|auth|sign|sess|key", re.IGNORECASE)
_WORD: Final = r"(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15}){1,3}[0-9]{0,2}"
_PLAIN: Final = re.compile(rf"(?:{_WORD}|[0-9]{{1,5}})?(?:[._-](?:{_WORD}|[0-9]{{1,5}})){{0,3}}")


def share_marks() -> None:
    """Have the marks that other processes have: the same secret gets the same mark in each, from now on.

    To be called before any socket is parsed.
    """
    _keys[0] = _COMMON_KEY


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
    """Parses sockets; those in use are found by their canonical texts, which have marks in place of secrets.

    Args:
        parse: returns the socket of a scheme and the text behind the colon; ValueError for what is none.
        shown: returns what is shown of them when they are refused.
    """

    def __init__(self, parse: Callable[[str, str], _Socket], shown: Callable[[str, str], str]) -> None:
        self._parse, self._shown = parse, shown
        self._known: WeakValueDictionary[str, _Socket] = WeakValueDictionary()

    def parsed(self, scheme: str, rest: str) -> _Socket:
        """Return the socket that a text is: one in use where its path has a mark.

        Raises:
            SocketError: if it is none, or its path has a mark and no socket in use has this text.
        """
        try:
            found = self._parse(scheme, rest)
        except ValueError as error:
            raise SocketError(self._shown(scheme, rest), str(error)) from None
        if not is_masked(found.path):
            same = self._known.setdefault(found.canonical, found)
            return same if same == found else found
        known = self._known.get(found.canonical)
        if known is None:
            problem = "expected the path itself, got one with a mark in place of a secret"
            raise SocketError(found.canonical, problem)
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
    digest = hmac.digest(_keys[0], secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"***{digest[:6].hex()}"
