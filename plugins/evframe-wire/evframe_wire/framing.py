"""JSON values on a connection without framing."""

from __future__ import annotations

import re
from typing import Final

MAX_VALUE_BYTES: Final = 16 << 20
_START: Final = re.compile(rb"[{\[]")
_MARK: Final = re.compile(rb'["{}\[\]]')
_IN_TEXT: Final = re.compile(rb'["\\]')


class Splitter:
    """Cuts what arrives, in whatever pieces, into objects and arrays, and what is between them.

    White space between values is left out; anything else is another piece. Whether
    a piece is JSON is for its reader to find.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0  # up to here the data was looked at
        self._depth = 0
        self._in_text = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces that *data* completes."""
        self._data += data
        pieces: list[bytes] = []
        while self._step(pieces):
            pass
        return pieces

    @property
    def is_too_long(self) -> bool:
        """Whether a value is longer than any that can be meant."""
        return len(self._data) > MAX_VALUE_BYTES

    def end(self) -> list[bytes]:
        """Return what is left when nothing more arrives."""
        pieces: list[bytes] = []
        self._cut(len(self._data), pieces)
        return pieces

    def _step(self, pieces: list[bytes]) -> bool:
        """Continue to the next byte that matters; return whether there was one."""
        if self._depth == 0:
            return self._open(pieces)
        found = (_IN_TEXT if self._in_text else _MARK).search(self._data, self._at)
        if found is None:
            self._at = len(self._data)
            return False
        mark = found[0]
        if mark == b"\\":
            if found.end() == len(self._data):
                self._at = found.start()  # what it escapes has not arrived
                return False
            self._at = found.end() + 1
            return True
        self._at = found.end()
        if mark == b'"':
            self._in_text = not self._in_text
        else:
            self._depth += 1 if mark in b"{[" else -1
            if self._depth == 0:
                self._cut(self._at, pieces)
        return True

    def _open(self, pieces: list[bytes]) -> bool:
        found = _START.search(self._data, self._at)
        if found is None:
            self._at = len(self._data)
            return False
        self._cut(found.start(), pieces)
        self._at = self._depth = 1
        return True

    def _cut(self, end: int, pieces: list[bytes]) -> None:
        piece = bytes(self._data[:end]).strip()
        if piece:
            pieces.append(piece)
        del self._data[:end]
        self._at = 0
