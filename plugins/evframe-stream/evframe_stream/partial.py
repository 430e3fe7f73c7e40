"""A JSON object or array of which only a part has arrived: it may become one, or cannot."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

_TOKEN: Final = re.compile(r'[ \t\r\n]*(?:(["{}\[\]:,])|([^ \t\r\n"{}\[\]:,]+)|$)')
_IN_STRING: Final = re.compile(r'["\\\x00-\x1f]')
_LONGEST_SCALAR: Final = 8192


class Next(Enum):
    """What may follow."""

    VALUE = auto()
    VALUE_OR_END = auto()
    NAME = auto()
    NAME_OR_END = auto()
    COLON = auto()
    COMMA_OR_END = auto()


class PartialValue:
    """Reads the structure of one value, each character once; numbers and words are left to the decoder."""

    __slots__ = ("_in_string", "_next", "_open", "position")

    def __init__(self) -> None:
        self.position = 0
        """How far the value was read: its end, or where it goes wrong."""
        self._open: list[str] = []
        self._next = Next.VALUE
        self._in_string = False

    def read(self, text: str, start: int) -> bool | None:
        """Read on in *text*, in which the value begins at *start*.

        Returns:
            True when the value is complete, False when it cannot become one, None when more is to come.
        """
        while True:
            if self._in_string:
                outcome = self._string(text, start)
                if outcome is not True:
                    return outcome
                continue
            found = _TOKEN.match(text, start + self.position)
            assert found is not None
            mark, scalar = found.groups()
            if scalar is not None:
                if found.end() == len(text):
                    return None if len(scalar) < _LONGEST_SCALAR else False  # its end is still to come
                if not self._take_value():
                    return False
            elif mark is None:
                return None
            elif not self._take(mark):
                return False
            self.position = found.end() - start
            if not self._open:
                return True

    def _string(self, text: str, start: int) -> bool | None:
        while (found := _IN_STRING.search(text, start + self.position)) is not None:
            self.position = found.end() - start
            if found.group() == '"':
                self._in_string = False
                return True
            if found.group() != "\\":
                return False
            if start + self.position == len(text):
                self.position -= 1
                return None
            self.position += 1
        self.position = len(text) - start
        return None

    def _take_value(self) -> bool:
        if self._next not in {Next.VALUE, Next.VALUE_OR_END}:
            return False
        self._next = Next.COMMA_OR_END
        return True

    def _take(self, mark: str) -> bool:
        expected = self._next
        if mark == '"':
            self._in_string = True
            if expected in {Next.NAME, Next.NAME_OR_END}:
                self._next = Next.COLON
                return True
            return self._take_value()
        if mark in "{[":
            self._open.append(mark)
            return self._take_value() and self._enter(mark)
        if mark == ":":
            self._next = Next.VALUE
            return expected is Next.COLON
        if mark == ",":
            self._next = Next.NAME if self._open[-1] == "{" else Next.VALUE
            return expected is Next.COMMA_OR_END
        return self._leave(mark, expected)

    def _enter(self, mark: str) -> bool:
        self._next = Next.NAME_OR_END if mark == "{" else Next.VALUE_OR_END
        return True

    def _leave(self, mark: str, expected: Next) -> bool:
        opened = self._open.pop()
        self._next = Next.COMMA_OR_END
        if mark == "}":
            return opened == "{" and expected in {Next.NAME_OR_END, Next.COMMA_OR_END}
        return opened == "[" and expected in {Next.VALUE_OR_END, Next.COMMA_OR_END}
