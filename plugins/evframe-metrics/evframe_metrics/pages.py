"""Answers to requests, whichever library receives them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

TEXT = "text/plain; charset=utf-8"


@attrs.frozen
class Page:
    """An answer; *pieces* are its text."""

    status: int
    pieces: Sequence[bytes]
    content_type: str = TEXT
    headers: Mapping[str, str] = attrs.field(factory=dict)


Answer = Callable[[str, Mapping[str, str]], Awaitable[Page]]
"""Returns the answer to a request for a path with its headers."""


def text_page(status: int, text: str, headers: Mapping[str, str] | None = None) -> Page:
    """Return a page of one text."""
    return Page(status, [f"{text}\n".encode("utf-8", "replace")], headers=headers or {})
