"""Patterns for the names of events, for sockets and for URLs."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from typing import Final

_BRACKETED: Final = re.compile(r"[?[]")
_ADDRESS: Final = re.compile(r"\[(?=[^]]*:)")


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression for an `fnmatch` pattern; a backslash takes a character as it is."""

    def take_as_it_is(found: re.Match[str]) -> str:
        return f"[{found[1]}]" if found[1] in "*?[" else found[1]

    return re.compile(translate(re.sub(r"\\(.)", take_as_it_is, pattern, flags=re.DOTALL)))


def fits_stars(text: str, pattern: str) -> bool:
    """Return whether *text* is what *pattern* means, in which ``*`` is any text.

    Nothing else is a wildcard: URLs have brackets around IPv6 addresses, and question marks before their queries.
    """
    return fnmatchcase(text, _BRACKETED.sub(r"[\g<0>]", pattern))


def fits_socket(canonical: str, pattern: str) -> bool:
    """Return whether a canonical socket fits an `fnmatch` pattern; the brackets of IPv6 addresses are text."""
    return fnmatchcase(canonical, _ADDRESS.sub("[[]", pattern))
