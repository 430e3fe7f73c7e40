"""JSON values cut out of bytes that arrive in pieces: the end of one value, and all values of a stream."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from evframe_wire.reading import MAX_TEXT_DEPTH

MAX_VALUE_BYTES: Final = 16 << 20
_BLANK: Final = re.compile(rb"[ \t\r\n]*")
_START: Final = re.compile(rb"[{\[]")
_END_OF_WORD: Final = re.compile(rb'[\s:,{}\[\]"]')
_END_OF_TEXT: Final = re.compile(rb'["\\]')
_LONE_WORD: Final = re.compile(rb"[ \t\r\n]*(?:true|false|null|-?[0-9][0-9a-zA-Z.+-]*)")
_PLAIN_START: Final = re.compile(r"[ \t\r\n]*(?=[{\[])")
_PLAIN_BYTES: Final = 1 << 14  # what the decoder cannot read costs as much again: it counts the lines before
_decode: Final = json.JSONDecoder(strict=False).raw_decode

_VALUE: Final = "a value"
_FIRST_ITEM: Final = "a value or ]"
_FIRST_NAME: Final = "a name or }"
_NAME: Final = "a name"
_COLON: Final = "a colon"
_COMMA: Final = "a comma or the end"
_NOTHING: Final = "nothing"
_VALUES: Final = frozenset({_VALUE, _FIRST_ITEM})
_NAMES: Final = frozenset({_NAME, _FIRST_NAME})
_TEXTS: Final = _VALUES | _NAMES
_MARKS: Final = b'"[{]}:,'
_QUOTE, _OPEN_ARRAY, _OPEN_OBJECT, _CLOSE_ARRAY, _CLOSE_OBJECT, _COLON_MARK, _COMMA_MARK = _MARKS
_OPENS: Final = {_OPEN_ARRAY: _FIRST_ITEM, _OPEN_OBJECT: _FIRST_NAME}
_CLOSES: Final = {
    (_FIRST_ITEM, _OPEN_ARRAY): _CLOSE_ARRAY,
    (_COMMA, _OPEN_ARRAY): _CLOSE_ARRAY,
    (_FIRST_NAME, _OPEN_OBJECT): _CLOSE_OBJECT,
    (_COMMA, _OPEN_OBJECT): _CLOSE_OBJECT,
}
_SPACE: Final = rb"[ \t\r\n]*"
_TEXT: Final = rb'"[^"\\]*"'
_SCALAR: Final = rb'(?:%b|[^\s:,{}\[\]"]+)' % _TEXT
_MEMBER: Final = _TEXT + _SPACE + b":" + _SPACE
_LIST: Final = rb"%b(?:%b%b(?:,%b%b%b)*)?"
_ARRAY: Final = rb"\[%b\]" % (_LIST % (_SPACE, _SCALAR, _SPACE, _SPACE, _SCALAR, _SPACE))
_OBJECT: Final = rb"\{%b\}" % (_LIST % (_SPACE, _MEMBER + _SCALAR, _SPACE, _SPACE, _MEMBER + _SCALAR, _SPACE))
_FLAT: Final = rb"(?:%b|%b|%b)" % (_SCALAR, _ARRAY, _OBJECT)
_ITEMS: Final = re.compile(rb"(?:%b%b%b(?:,|(?=\])))+" % (_SPACE, _FLAT, _SPACE))
_MEMBERS: Final = re.compile(rb"(?:%b%b%b(?:,|(?=\})))+" % (_SPACE, _MEMBER + _FLAT, _SPACE))
_RUNS: Final = {
    (_FIRST_ITEM, _OPEN_ARRAY): (_ITEMS, _VALUE),
    (_VALUE, _OPEN_ARRAY): (_ITEMS, _VALUE),
    (_FIRST_NAME, _OPEN_OBJECT): (_MEMBERS, _NAME),
    (_NAME, _OPEN_OBJECT): (_MEMBERS, _NAME),
}
_RUN_BYTES: Final = 1 << 14  # the patterns keep something of each member


class ValueScanner:
    """Finds the end of the JSON value that begins at *start*; looks at every byte a few times at most.

    It distinguishes bytes that cannot become JSON from bytes whose rest has not arrived. Numbers, words,
    escapes and UTF-8 are left to the reader of the value.
    """

    __slots__ = ("_at", "_expects", "_last", "_open", "_within", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self._at = start
        self._last: int | None = None  # where another value may begin in the text or container that came last
        self._open: list[int] = []  # where the objects and arrays around begin
        self._expects = _VALUE
        self._within: re.Pattern[bytes] | None = None  # what ends the text or word that has begun

    @property
    def resume(self) -> int:
        """Where the next value may begin when this one cannot become JSON.

        The beginning of the next one may be taken for a part of this one: of its last text, or as its last member.
        """
        return self._at if self._last is None else self._last

    def end(self, data: bytearray) -> int | None:
        """Return where the value ends, or None when its rest has not arrived.

        Args:
            data: what it was at the last call, and what has arrived since.

        Raises:
            ValueError: if the value cannot become JSON, or is nested deeper than `MAX_TEXT_DEPTH`.
        """
        while self._expects is not _NOTHING:
            if self._within is None:
                around = data[self._open[-1]] if self._open else 0
                self._skip(data, around)
                if self._at == len(data):
                    return None
                self._mark(data, around)
            elif not (self._text(data) if self._within is _END_OF_TEXT else self._word(data)):
                return None
        return self._at

    def _skip(self, data: bytearray, around: int) -> None:
        """Pass blanks, and members that have arrived with what ends them and are nearly flat: a pattern is faster."""
        if (self._expects, around) in _RUNS:
            pattern, after = _RUNS[self._expects, around]
            found = pattern.match(data, self._at, self._at + _RUN_BYTES)
            if found is not None:
                self._at = found.end()
                self._expects, self._last = after if data[self._at - 1] == _COMMA_MARK else _COMMA, None
        blank = _BLANK.match(data, self._at)
        assert blank is not None
        self._at = blank.end()

    def _text(self, data: bytearray) -> bool:
        """Continue to the end of the text; return whether it has arrived."""
        while (found := _END_OF_TEXT.search(data, self._at)) is not None:
            self._at = found.end()
            if found[0] == b'"':
                self._within = None
                self._expects = _COLON if self._expects in _NAMES else self._after_value()
                return True
            self._at += 1  # the escaped byte, which may not have arrived
        self._at = max(self._at, len(data))
        return False

    def _word(self, data: bytearray) -> bool:
        """Continue to the end of the number or word; return whether it has arrived."""
        found = _END_OF_WORD.search(data, self._at)
        self._at = found.start() if found else len(data)
        if self._open:
            if found is None:
                return False
        elif not _LONE_WORD.fullmatch(data, self.start, self._at):
            raise ValueError("expected JSON")
        self._within = None
        self._expects = self._after_value()
        return True

    def _after_value(self) -> str:
        return _COMMA if self._open else _NOTHING

    def _mark(self, data: bytearray, around: int) -> None:
        """Take one mark, or find that a text or a word begins."""
        mark, expects = data[self._at], self._expects
        last = None
        if mark == _QUOTE and expects in _TEXTS:
            self._within = _END_OF_TEXT
            last = self._at + 1
        elif mark in _OPENS and expects in _VALUES and len(self._open) < MAX_TEXT_DEPTH:
            self._open.append(self._at)
            self._expects = _OPENS[mark]
        elif mark == _CLOSES.get((expects, around)):
            last = self._open.pop()
            self._expects = self._after_value()
        elif mark == _COLON_MARK and expects == _COLON:
            self._expects = _VALUE
        elif mark == _COMMA_MARK and expects == _COMMA:
            self._expects = _NAME if around == _OPEN_OBJECT else _VALUE
        elif expects in _VALUES and mark not in _MARKS:
            self._within = _END_OF_WORD
            self._last = None
            return
        else:
            raise ValueError(f"expected {expects}")
        self._last = last
        self._at += 1


class Splitter:
    """Cuts what arrives, in whatever pieces, into objects and arrays, and what is between them.

    White space between values is left out; anything else between two values is one more piece, so that the
    pieces together are all that has arrived. What begins like a value and cannot become JSON ends where that
    is clear, and a value within it may begin there: half a message, or stray bytes, cost no message after them.

    Args:
        max_bytes: the longest value.
    """

    def __init__(self, max_bytes: int = MAX_VALUE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._at = 0  # up to here no value begins
        self._scanner: ValueScanner | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces that *data* completes."""
        return self._split(data, values=False)

    def read(self, data: bytes) -> list[Any]:
        """Return the values that *data* completes; what is no JSON is left out.

        Texts are read as Latin-1, and numbers as `json` reads them: for messages whose structure matters alone.
        """
        return self._split(data, values=True)

    @property
    def is_too_long(self) -> bool:
        """Whether what waits is longer than the longest value; `end` returns it, and begins anew."""
        return len(self._data) > self._max_bytes

    def end(self) -> list[bytes]:
        """Return what is left when nothing more arrives."""
        found: list[bytes] = []
        self._cut(len(self._data), found, values=False)
        return found

    def _split(self, data: bytes, *, values: bool) -> list[Any]:
        """Return the pieces that *data* completes, or the values of those that are JSON."""
        self._data += data
        found: list[Any] = []
        while True:
            if self._scanner is None:
                if self._at == 0:
                    self._take_plain(found, values=values)
                begin = _START.search(self._data, self._at)
                if begin is None:
                    self._at = len(self._data)
                    return found
                self._scanner = ValueScanner(begin.start())
            start = self._scanner.start
            try:
                end = self._scanner.end(self._data)
            except ValueError:
                self._at, self._scanner = self._scanner.resume, None
                continue
            if end is None:
                return found
            self._cut(start, found, values=values)
            self._cut(end - start, found, values=values)

    def _take_plain(self, found: list[Any], *, values: bool) -> None:
        """Take the values that are first, are JSON, and have arrived as a whole: the decoder is faster.

        Each ends where `ValueScanner` would find its end. The decoder reads no more of the first that it cannot
        read than the scanner, which follows.
        """
        text = self._data[:_PLAIN_BYTES].decode("latin-1")
        end = 0
        try:
            while (begin := _PLAIN_START.match(text, end)) is not None:
                start = begin.end()
                value, end = _decode(text, start)
                found.append(value if values else text[start:end].encode("latin-1"))
        except (ValueError, RecursionError):
            pass
        del self._data[:end]

    def _cut(self, end: int, found: list[Any], *, values: bool) -> None:
        piece: Any = bytes(self._data[:end]).strip()
        del self._data[:end]
        self._at, self._scanner = 0, None
        if piece and values:
            try:
                found.append(json.loads(piece.decode("latin-1"), strict=False))
            except (ValueError, RecursionError):
                return
        elif piece:
            found.append(piece)
