"""Secrets in URLs and properties, and the mark in their place."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
"""What stands in a text for a secret."""
_URL: Final = re.compile(r"(://)(\S+)")  # without its scheme, which a long word would be searched for at each letter
_TAIL: Final = re.compile(r"[?#;]")
_END_OF_AUTHORITY: Final = re.compile(r"[/?#;]")
_NAMES: Final = (
    *("password=", "passphrase=", "passwd=", "pwd=", "secret=", "[.]pem="),
    *("token=", "api[-_.]?key=", "access[-_.]?key=", "signature=", "[?&;#]sig=", "credentials?="),
)
_PROPERTY: Final = re.compile(rf"({'|'.join(_NAMES)})[^&;'\s]+", re.IGNORECASE)


def without_properties(text: str) -> str:
    """Return *text* with the mark in place of values whose names say that they are secrets, as in ``token=…``."""
    return _PROPERTY.sub(rf"\1{MASK}", text)


def tails(text: str) -> list[str]:
    """Return what follows the path in each URL of *text*: the query, the fragment and parameters."""
    found = (_TAIL.search(url[2]) for url in _URL.finditer(text))
    return [each.string[each.end() :] for each in found if each is not None and each.string[each.end() :]]


def without_secrets(text: str) -> str:
    """Return *text* with marks in the URLs in it.

    They stand for a password, a user without one, which may be a token, and what follows the path: the query,
    the fragment and parameters.
    """
    return _URL.sub(lambda url: url[1] + _without_tail(_without_password(url[2])), text)


def _without_password(rest: str) -> str:
    # A password may have a slash, so that the last @ decides.
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    if not at or _END_OF_AUTHORITY.search(user):
        return rest  # the @ is in the path, or behind it
    return f"{user}:{MASK}@{place}" if colon else f"{MASK}@{place}"


def _without_tail(rest: str) -> str:
    tail = _TAIL.search(rest)
    return rest if tail is None or tail.end() == len(rest) else rest[: tail.end()] + MASK
