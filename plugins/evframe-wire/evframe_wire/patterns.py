"""Patterns for the names of events."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression for an `fnmatch` pattern; a backslash takes a character as it is."""

    def take_as_it_is(found: re.Match[str]) -> str:
        return f"[{found[1]}]" if found[1] in "*?[" else found[1]

    return re.compile(translate(re.sub(r"\\(.)", take_as_it_is, pattern, flags=re.DOTALL)))
