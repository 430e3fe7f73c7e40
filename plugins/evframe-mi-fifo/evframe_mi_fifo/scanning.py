"""Where a JSON value ends, in text that comes in pieces."""

from __future__ import annotations

import re
from typing import Final

_BLANK: Final = re.compile(rb"[ \t\r\n]*")
_TEXT: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_WORD: Final = re.compile(rb'[^\s:,{}\[\]"]+')
_SCALAR: Final = re.compile(rb"true|false|null|-?[0-9][0-9a-zA-Z.+-]*")
_LONGEST_WORD: Final = 512

_VALUE: Final = "a value"
_FIRST_ITEM: Final = "a value or ]"
_FIRST_NAME: Final = "a name or }"
_NAME: Final = "a name"
_COLON: Final = "a colon"
_COMMA: Final = "a comma or the end"
_NOTHING: Final = "nothing"
_VALUES: Final = frozenset({_VALUE, _FIRST_ITEM})
_NAMES: Final = frozenset({_NAME, _FIRST_NAME})
_CLOSES: Final = {
    (_FIRST_ITEM, b"["): b"]",
    (_COMMA, b"["): b"]",
    (_FIRST_NAME, b"{"): b"}",
    (_COMMA, b"{"): b"}",
}


class Scanner:
    """Finds the end of the value that begins at *at*; looks at every byte once.

    It distinguishes text that cannot become JSON from text that has not come yet. Which words are numbers is
    left to the code that reads the value.
    """

    def __init__(self, at: int) -> None:
        self._at = at
        self._open: list[bytes] = []
        self._expects = _VALUE
        self._within_text = False

    def end(self, data: bytearray) -> int | None:
        """Return where the value ends, or None as long as there is more to come.

        Args:
            data: what was there at the last call, and perhaps more.

        Raises:
            ValueError: if it cannot become JSON.
        """
        while self._expects is not _NOTHING:
            if not self._within_text:
                self._at = _skip(_BLANK, data, self._at)
                if self._at == len(data) or not self._token(data):
                    return None
            if self._within_text and not self._rest_of_text(data):
                return None
        return self._at

    def _rest_of_text(self, data: bytearray) -> bool:
        self._at = _skip(_TEXT, data, self._at)
        if data[self._at : self._at + 1] != b'"':
            return False
        self._at += 1
        self._within_text = False
        if self._expects in _NAMES:
            self._expects = _COLON
        else:
            self._value_is_over()
        return True

    def _value_is_over(self) -> None:
        self._expects = _COMMA if self._open else _NOTHING

    def _token(self, data: bytearray) -> bool:
        """Take one token, or the beginning of a text; return whether it was there."""
        token = bytes(data[self._at : self._at + 1])
        innermost = self._open[-1] if self._open else b""
        if token == b'"' and self._expects in _VALUES | _NAMES:
            self._within_text = True
        elif token in {b"{", b"["} and self._expects in _VALUES:
            self._open.append(token)
            self._expects = _FIRST_NAME if token == b"{" else _FIRST_ITEM
        elif token == _CLOSES.get((self._expects, innermost)):
            self._open.pop()
            self._value_is_over()
        elif token == b":" and self._expects == _COLON:
            self._expects = _VALUE
        elif token == b"," and self._expects == _COMMA:
            self._expects = _NAME if innermost == b"{" else _VALUE
        else:
            return self._word(data)
        self._at += 1
        return True

    def _word(self, data: bytearray) -> bool:
        found = _WORD.match(data, self._at)
        if self._expects not in _VALUES or not found or found.end() - self._at > _LONGEST_WORD:
            raise ValueError(f"expected {self._expects}")
        if not self._open and not _SCALAR.fullmatch(found[0]):
            raise ValueError("expected JSON")
        if self._open and found.end() == len(data):
            return False  # more of it may come
        self._at = found.end()
        self._value_is_over()
        return True


def _skip(pattern: re.Pattern[bytes], data: bytearray, at: int) -> int:
    found = pattern.match(data, at)
    return found.end() if found else at
