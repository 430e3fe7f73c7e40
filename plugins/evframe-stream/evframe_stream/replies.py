"""JSON values on a stream, split and joined anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

MAX_REPLY_BYTES: Final = 1 << 20
_START: Final = re.compile(r"[{\[]")
_TOKEN: Final = re.compile(r'["\\{}\[\]]')
_decode: Final = json.JSONDecoder().raw_decode


class ReplyScanner:
    """Finds the objects and arrays in a stream of bytes.

    What is between them, and what has the shape of one but is not JSON, is passed over: a bad
    reply is nobody's reply, and those after it still count.
    """

    def __init__(self) -> None:
        self._text = ""
        self._seen = 0
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> Iterator[Any]:
        """Yield every value that is complete with *data*."""
        # Only the structure and numbers matter here, and those are the same in this charset.
        self._text += data.decode("latin-1")
        start = 0
        while True:
            found = _START.search(self._text, start)
            if found is None:
                self._keep(len(self._text))
                return
            start = found.start()
            if not self._seen:
                try:
                    value, start = _decode(self._text, start)
                except (ValueError, RecursionError):
                    pass
                else:
                    yield value
                    continue
            end = self._end(start)
            if end is None:
                self._keep(start)
                if len(self._text) > MAX_REPLY_BYTES:
                    self._reset()
                return
            with suppress(ValueError, RecursionError):
                yield _decode(self._text, start)[0]
            start = end

    def _end(self, start: int) -> int | None:
        """Return where the value that begins at *start* ends by its brackets; go on where the last call stopped."""
        position = start + self._seen
        while (found := _TOKEN.search(self._text, position)) is not None:
            position = found.end()
            mark = found.group()
            if mark == "\\":
                if position == len(self._text):
                    position -= 1
                    break
                position += 1
            elif mark == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if mark in "{[" else -1
                if not self._depth:
                    self._seen = 0
                    return position
        else:
            position = len(self._text)
        self._seen = position - start
        return None

    def _keep(self, start: int) -> None:
        self._text = self._text[start:]

    def _reset(self) -> None:
        self._text = ""
        self._seen = self._depth = 0
        self._in_string = False
