"""Where a JSON value ends in bytes that arrive in pieces."""

from __future__ import annotations

import re
from typing import Final

from evframe_wire.reading import MAX_TEXT_DEPTH

WINDOW: Final = 1 << 14  # the patterns keep something of each member
_SKIP_WINDOWS: Final = 16, 512  # of the search for the next message: not far beyond the end of the value

# What is repeated possessively is a single character: Python 3.11.2 has a fault in possessive groups.
BLANKS: Final = rb"[ \t\r\n]*+"
_TEXT_REST: Final = rb'[^"\\]*+(?:\\.[^"\\]*+)*'
TEXT: Final = rb'"%b"' % _TEXT_REST
_WORD: Final = rb'[^\s:,{}\[\]"]++'
SCALAR: Final = rb"(?:%b|%b)" % (TEXT, _WORD)
NAME: Final = TEXT + BLANKS + b":" + BLANKS
_LIST: Final = rb"%b(?:%b%b(?:,%b%b%b)*)?"
_ARRAY: Final = rb"\[%b\]" % (_LIST % (BLANKS, SCALAR, BLANKS, BLANKS, SCALAR, BLANKS))
_OBJECT: Final = rb"\{%b\}" % (_LIST % (BLANKS, NAME + SCALAR, BLANKS, BLANKS, NAME + SCALAR, BLANKS))
FLAT: Final = rb"(?:%b|%b|%b)" % (SCALAR, _ARRAY, _OBJECT)
_ITEMS: Final = rb"((?:%b(?:%b,%b|(?=%b\])))+)" % (FLAT, BLANKS, BLANKS, BLANKS)
_MEMBERS: Final = rb"((?:%b%b(?:%b,%b|(?=%b\})))+)" % (NAME, FLAT, BLANKS, BLANKS, BLANKS)

_VALUE: Final = "a value"
_MEMBER: Final = "the value of a member"
_FIRST_ITEM: Final = "a value or ]"
_ITEM: Final = "another value"
_FIRST_NAME: Final = "a name or }"
_NEXT_NAME: Final = "another name"
_COLON: Final = "a colon"
_COMMA: Final = "a comma or the end"
_NOTHING: Final = "nothing"
_RUN, _ARRAYS, _OPEN_OBJECT, _CLOSE, _IN_TEXT, _IN_WORD = range(6)
_OPENINGS: Final = frozenset({_ARRAYS, _OPEN_OBJECT})
_PARTS: Final = frozenset({_IN_TEXT, _IN_WORD})
_NAMES: Final = frozenset({_FIRST_NAME, _NEXT_NAME})
_AFTER_COMMA: Final = {ord("]"): _ITEM, ord("}"): _NEXT_NAME}
_AFTER_RUN: Final = {_FIRST_ITEM: _ITEM, _ITEM: _ITEM, _FIRST_NAME: _NEXT_NAME, _NEXT_NAME: _NEXT_NAME}

_BEGIN: Final = ((rb"(\[++)", _ARRAYS), (rb"(\{)", _OPEN_OBJECT), (b'(")', _IN_TEXT), (b"(%b)" % _WORD, _IN_WORD))
_NAMED: Final = ((_MEMBERS, _RUN), (b"(%b)" % NAME, _MEMBER), (b"(%b)" % TEXT, _COLON), (b'(")', _IN_TEXT))


def _step(*parts: tuple[bytes, str | int]) -> tuple[re.Pattern[bytes], tuple[str | int, ...]]:
    """Return the pattern of what may come next, and for each group of it what follows from it."""
    pattern = BLANKS + b"(?:" + b"|".join(part for part, _ in parts) + b")"
    return re.compile(pattern, re.DOTALL), ("", *(action for _, action in parts))


_STEPS: Final = {
    _VALUE: _step(*_BEGIN),
    _MEMBER: _step((rb"(%b(?=%b[,}]))" % (SCALAR, BLANKS), _COMMA), *_BEGIN),
    _FIRST_ITEM: _step((_ITEMS, _RUN), (rb"(\][\]}]*+)", _CLOSE), *_BEGIN),
    _ITEM: _step((_ITEMS, _RUN), *_BEGIN),
    _FIRST_NAME: _step(*_NAMED, (rb"(\}[\]}]*+)", _CLOSE)),
    _NEXT_NAME: _step(*_NAMED),
    _COLON: _step((b"(:)", _MEMBER)),
    _COMMA: _step((rb"([\]}]++)", _CLOSE), (b"(,)", _ITEM)),
}
_BLANK: Final = re.compile(BLANKS)
_REST: Final = re.compile(_TEXT_REST, re.DOTALL)
_END_OF_WORD: Final = re.compile(rb'[\s:,{}\[\]"]')
_LONE_WORD: Final = re.compile(rb"[ \t\r\n]*(?:true|false|null|-?[0-9][0-9a-zA-Z.+-]*)")
_BRACKETS: Final = re.compile(rb'[^"{}\[\]]*+(?:([{\[]++)|([}\]]++)|("))?')
_QUOTE, _COMMA_MARK = b'",'
_OPENS, _CLOSES, _BLANKS_AND_COMMA = b"[{", b"]}", b" \t\r\n,"

# In JSON a quote within a string has a backslash before it, and after the quote that ends one no letter follows: this
# is found between two messages only, whatever is nested or quoted in them.
_BETWEEN: Final = re.compile(rb'\}(?=[ \t\r\n]{0,8}\{[ \t\r\n]{0,8}"[A-Za-z])')
_BETWEEN_BYTES: Final = 20
_TAIL_BYTES: Final = 64  # of a text, in which a message may begin


class ValueScanner:
    """Finds the end of the JSON value that begins at *start*; looks at every byte a few times at most.

    It distinguishes bytes that cannot become JSON from bytes whose rest has not arrived. Numbers, words,
    escapes and UTF-8 are left to the reader of the value, and what is nested deeper than `MAX_TEXT_DEPTH`
    is passed over as `Skipper` does.
    """

    __slots__ = ("_at", "_closers", "_expects", "_last", "_skipper", "_starts", "_token", "_within", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self._at = start
        self._token = start  # where the last token ends: before the blanks that have been passed
        self._last = start  # where the object or array begins that was closed last
        self._closers = bytearray()  # what closes the objects and arrays around
        self._starts: list[int] = []  # where they begin
        self._expects = _VALUE
        self._within: int | None = None  # the text or word that has begun
        self._skipper: Skipper | None = None

    def end(self, data: bytearray) -> int | None:
        """Return where the value ends, or None when its rest has not arrived.

        Args:
            data: what it was at the last call, and what has arrived since.

        Raises:
            ValueError: if the value cannot become JSON.
        """
        while self._expects is not _NOTHING:
            if self._skipper is not None:
                return self._skipper.end(data)
            if self._within is None:
                pattern, actions = _STEPS[self._expects]
                found = pattern.match(data, self._at, self._at + WINDOW)
                if found is not None:
                    self._at = self._token = found.end()
                    self._take(data, actions[found.lastindex or 0], found)
                elif not self._pass_blanks(data):
                    return None
            elif not (self._text(data) if self._within == _IN_TEXT else self._word(data)):
                return None
        return self._at

    def _take(self, data: bytearray, action: str | int, found: re.Match[bytes]) -> None:
        """Take what has been found."""
        if action == _RUN:
            has_comma = data[self._at - 1] in _BLANKS_AND_COMMA
            self._expects = _AFTER_RUN[self._expects] if has_comma else _COMMA
        elif action == _CLOSE:
            self._close(found[found.lastindex or 0])
        elif action in _OPENINGS:
            self._open(found.start(found.lastindex or 0), b"]" if action == _ARRAYS else b"}")
        elif action in _PARTS:
            self._within = action
        else:
            self._expects = _AFTER_COMMA[self._closers[-1]] if action == _ITEM else str(action)

    def _open(self, begin: int, closer: bytes) -> None:
        if len(self._starts) + self._at - begin > MAX_TEXT_DEPTH:
            self._at = begin
            self._skipper = self.skipper()
            return
        self._starts += range(begin, self._at)
        self._closers += closer * (self._at - begin)
        self._expects = _FIRST_ITEM if closer == b"]" else _FIRST_NAME

    def _close(self, closers: bytes) -> None:
        begin = self._at - len(closers)
        count = min(len(closers), len(self._closers))
        if self._closers[: -count - 1 : -1] != closers[:count]:
            self._at = begin
            raise ValueError("expected what closes what was opened last")
        self._last = self._starts[-count]
        del self._starts[-count:], self._closers[-count:]
        self._at = self._token = begin + count
        self._expects = self._after_value()

    def _pass_blanks(self, data: bytearray) -> bool:
        """Continue behind blanks; return whether something follows that has arrived."""
        at, self._at = self._at, find_end(_BLANK, data, self._at)
        if self._at == len(data):
            return False
        if self._at == at:
            raise ValueError(f"expected {self._expects}")
        return True

    def _text(self, data: bytearray) -> bool:
        """Continue towards the end of the text; return whether there is more to look at."""
        before, self._at = self._at, _end_of_text(data, self._at)
        if self._at == len(data):
            return False
        if data[self._at] != _QUOTE:  # a backslash whose escaped byte has not arrived, or the window's end
            return self._at > before
        self._at += 1
        self._token = self._at
        self._within = None
        self._expects = _COLON if self._expects in _NAMES else self._after_value()
        return True

    def _word(self, data: bytearray) -> bool:
        """Continue to the end of the number or word; return whether it has arrived."""
        found = _END_OF_WORD.search(data, self._at)
        self._at = self._token = found.start() if found else len(data)
        if self._closers:
            if found is None:
                return False
        elif not _LONE_WORD.fullmatch(data, self.start, self._at):
            raise ValueError("expected JSON")
        self._within = None
        self._expects = self._after_value()
        return True

    def _after_value(self) -> str:
        return _COMMA if self._closers else _NOTHING

    def following(self, data: bytearray) -> tuple[int | None, int | None]:
        """Return where another value begins within one that cannot become JSON, and where it ends, as far as is known.

        Its beginning may have been taken for a part of this value, whose end is missing: for its last member, or
        for the end of its last text. Without another value this one is malformed, with what is nested in it.
        """
        if data[self._at] in _OPENS:
            return (self._last, self._token) if data[self._token - 1] in _CLOSES else (self._at, None)
        if data[self._token - 1] != _QUOTE:
            return None, None
        text = data[max(self.start + 1, self._token - _TAIL_BYTES) : self._token - 1]
        begin = len(text.rstrip(b" \t\r\n[{"))
        return (self._token - 1 - len(text) + begin if begin < len(text) else None), None

    def skipper(self) -> Skipper:
        """Return what finds the end of this value whatever is in it."""
        return self._skipper or Skipper(self._at, len(self._closers), is_in_text=self._within == _IN_TEXT)


class Skipper:
    """Passes over the rest of a value that is no JSON, or that is too long or nested too deep to be read.

    It looks at brackets and texts alone. Nothing that is nested in the value is taken; the value ends with its
    last bracket, or before the next message that is an object whose first name begins with a letter.
    """

    __slots__ = ("_at", "_begin", "_depth", "_is_in_text", "_searched")

    def __init__(self, at: int, depth: int, *, is_in_text: bool) -> None:
        self._at = self._begin = self._searched = at
        self._depth = depth
        self._is_in_text = is_in_text

    def end(self, data: bytearray) -> int | None:
        """Return where the value ends, or None when its rest has not arrived; see `ValueScanner.end`."""
        window, most = _SKIP_WINDOWS
        while True:
            stop = min(self._searched + window, len(data))
            window = min(2 * window, most)
            between = _BETWEEN.search(data, max(self._begin, self._searched - _BETWEEN_BYTES), stop)
            self._searched = stop
            limit = stop if between is None else between.end()
            end = self._balance(data, limit)
            if between is not None:
                return limit if end is None else min(end, limit)
            if end is not None or stop == len(data):
                return end

    def forget(self) -> int:
        """Return how many bytes at the beginning are not needed any more, which the caller takes out of the data."""
        size = max(0, min(self._at, self._searched) - _BETWEEN_BYTES)
        self._at -= size
        self._searched -= size
        self._begin = max(0, self._begin - size)
        return size

    def _balance(self, data: bytearray, stop: int) -> int | None:
        """Return where what is open is closed, if that is before *stop* or in the token at that place."""
        while self._at < stop:
            if self._is_in_text:
                at, self._at = self._at, _end_of_text(data, self._at)
                if self._at < len(data) and data[self._at] == _QUOTE:
                    self._at += 1
                    self._is_in_text = False
                elif self._at == at:
                    return None
                continue
            found = _BRACKETS.match(data, self._at)
            assert found is not None
            self._at = found.end()
            if found[1]:
                self._depth += len(found[1])
            elif found[2]:
                if len(found[2]) >= self._depth:
                    return self._at - len(found[2]) + self._depth
                self._depth -= len(found[2])
            elif found[3]:
                self._is_in_text = True
        return None


def _end_of_text(data: bytearray, at: int) -> int:
    """Return where the text that continues at *at* ends, or a window: that has an escape of two bytes at least."""
    return find_end(_REST, data, at, at + WINDOW + 1)


def find_end(pattern: re.Pattern[bytes], data: bytearray, *span: int) -> int:
    """Return where what *pattern*, which matches everywhere, finds ends."""
    found = pattern.match(data, *span)
    assert found is not None
    return found.end()
