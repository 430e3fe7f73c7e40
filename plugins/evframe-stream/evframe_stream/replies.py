"""JSON values on a stream, split and joined anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from evframe_stream.partial import PartialValue

MAX_REPLY_BYTES: Final = 1 << 20
_MOST_TRIES: Final = 4  # at the beginnings within what has turned out to be no value
_CUT_CHARACTERS: Final = 1 << 14
_START: Final = re.compile(r"[{\[]")
_decode: Final = json.JSONDecoder().raw_decode


class ReplyScanner:
    """Finds the objects and arrays in a stream of bytes.

    What is between them, and what has the shape of one but is not JSON, is passed over. What begins
    like a value and cannot become one ends where it goes wrong, and a value within it may begin there:
    half a reply, or stray bytes, cost no reply after them.
    """

    def __init__(self) -> None:
        self._text = ""
        self._partial: PartialValue | None = None
        self._is_astray = False  # what came last was no value
        self._tries = 0

    def feed(self, data: bytes) -> Iterator[Any]:
        """Yield every value that is complete with *data*."""
        # Only the structure and numbers matter here, and those are the same in this charset.
        self._text += data.decode("latin-1")
        start = 0
        while (found := _START.search(self._text, start)) is not None:
            start = found.start()
            if start > _CUT_CHARACTERS:  # the decoder counts the lines before what it cannot decode
                self._text = self._text[start:]
                start = 0
            if self._partial is None and not self._is_astray:
                try:
                    value, start = _decode(self._text, start)
                except (ValueError, RecursionError):
                    pass
                else:
                    yield value
                    continue
            partial = self._partial or PartialValue()
            is_whole = partial.read(self._text, start)
            if is_whole is None:
                self._keep(start, partial)
                return
            self._partial = None
            self._is_astray = True
            end = start + partial.position
            if is_whole:
                self._tries = 0
                with suppress(ValueError, RecursionError):
                    yield _decode(self._text[start:end])[0]
                    self._is_astray = False
                start = end
            else:
                start = self._after_wrong(start, end)
        self._text = ""

    def _after_wrong(self, start: int, wrong: int) -> int:
        """Return where to look for the next value: the one at *start* goes wrong at *wrong*."""
        self._tries += 1
        if self._tries < _MOST_TRIES:
            return start + 1
        self._tries = 0
        return max(wrong, start + 1)

    def _keep(self, start: int, partial: PartialValue) -> None:
        if len(self._text) - start > MAX_REPLY_BYTES:
            self._text, self._partial = "", None
        else:
            self._text, self._partial = self._text[start:], partial
