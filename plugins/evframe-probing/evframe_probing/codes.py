"""Lists of reply codes, such as ``501, 403`` or ``200-399``."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

_PART: Final = re.compile(r"\s*([1-9][0-9]{2})\s*(?:-\s*([1-9][0-9]{2})\s*)?")


def parse_codes(text: str) -> frozenset[int]:
    """Return the codes that *text* lists; none for an empty text.

    Raises:
        ValueError: if it is no list of codes, or of ranges of codes, between commas.
    """
    codes: set[int] = set()
    for part in text.split(",") if text.strip() else ():
        found = _PART.fullmatch(part)
        if found is None or int(found[2] or found[1]) < int(found[1]):
            raise ValueError(f"expected codes between commas such as '501, 403' or '200-299', got {text!r}")
        codes.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return frozenset(codes)


def is_code_list(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    """Validate an option that is a list of reply codes."""
    try:
        parse_codes(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None
