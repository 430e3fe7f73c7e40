"""JSON values cut out of a stream, whose bytes arrive in pieces."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Final

from evframe_wire.scanning import BLANKS, FLAT, NAME, SCALAR, TEXT, WINDOW, Skipper, ValueScanner, find_end

MAX_VALUE_BYTES: Final = 16 << 20
# What is before a value: openings too, if it is clear at once that no value begins with them. Another one begins in a
# place of the first item where none may, or they are closed, and are none. The scanner would find that, too: a pattern
# is faster, and a flood of broken bytes has most of such openings.
_INNER: Final = rb'[^"{}\[\]]*+'
_JUNK: Final = re.compile(
    b"(?:%b)*"
    % b"|".join(
        (
            rb"[^{\[]++",
            rb"\{%b(?:%b%b%b|%b%b)?(?=[{\[])" % (BLANKS, NAME, SCALAR, BLANKS, TEXT, BLANKS),
            rb"\{%b%b(?=%b%b[{\[])" % (BLANKS, NAME, FLAT, BLANKS),
            rb"(?:\[%b){1,8}(?:(?:%b|\{)%b(?=[{\[])|(?=%b%b[{\[]))" % (BLANKS, SCALAR, BLANKS, FLAT, BLANKS),
            rb"\{(?!%b\})%b[\]}]" % (BLANKS, _INNER),
            rb"\[(?:%b\}|%b[,:]%b\])" % (_INNER, BLANKS, _INNER),
        )
    ),
    re.DOTALL,
)
_WHOLE: Final = re.compile(FLAT, re.DOTALL)
_PLAIN_START: Final = re.compile(r"[ \t\r\n]*(?=[{\[])")
_PLAIN_BYTES: Final = 1 << 14  # what the decoder cannot read costs as much again: it counts the lines before
_PLAIN_EVERY: Final = 512  # bytes at least: each attempt copies what follows
_decode: Final = json.JSONDecoder(strict=False).raw_decode


class Splitter:
    """Cuts what arrives, in whatever pieces, into objects and arrays, and what is between them.

    White space between values is left out; anything else between two values is one more piece, so that the
    pieces together are all that has arrived. A value that was cut off ends where the next one begins: half a
    message, or stray bytes, cost no message after them. Nothing within another value that cannot become JSON,
    or is nested too deep, or too long, is taken for a value. Of what is too long the first bytes are a piece,
    and the rest is dropped, so that no more than the longest value is kept.

    Args:
        max_bytes: the longest value.
    """

    def __init__(self, max_bytes: int = MAX_VALUE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._at = 0  # up to here no value begins
        self._scanner: ValueScanner | None = None
        self._skipper: Skipper | None = None
        self._is_dropping = False  # the rest of what was too long
        self._attempts = 0  # of the decoder, that are left for what arrived last

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces that *data* completes."""
        return self._split(data, values=False)

    def read(self, data: bytes) -> list[Any]:
        """Return the values that *data* completes; what is no JSON is left out.

        Texts are read as Latin-1, and numbers as `json` reads them: for messages whose structure matters alone.
        """
        return self._split(data, values=True)

    def end(self) -> list[bytes]:
        """Return what is left when nothing more arrives, and begin anew."""
        found: list[bytes] = []
        if not self._is_dropping:
            self._cut(len(self._data), found, values=False)
        self._data.clear()
        self._at, self._scanner, self._skipper, self._is_dropping = 0, None, None, False
        return found

    def _split(self, data: bytes, *, values: bool) -> list[Any]:
        """Return the pieces that *data* completes, or the values of those that are JSON."""
        found: list[Any] = []
        self._attempts = len(data) // _PLAIN_EVERY + 1
        if not self._data:
            taken = self._take_plain(data, found, values=values)
            if taken == len(data):
                return found
            data = data[taken:]
            if data.startswith((b"{", b"[")):  # most often one whose rest has not arrived
                self._scanner = ValueScanner(0)
        self._data += data
        while self._skip() if self._skipper is not None else self._take(found, values=values):
            pass
        if len(self._data) > self._max_bytes:
            self._shorten(found, values=values)
        return found

    def _take_plain(self, data: bytes | bytearray, found: list[Any], *, values: bool) -> int:
        """Take the values that are first, are JSON, and have arrived as a whole: the decoder is faster.

        Each ends where `ValueScanner` would find its end. The decoder reads no more of the first that it cannot
        read than the scanner, which follows. Return how many bytes they have.
        """
        taken, end = 0, 1
        self._attempts -= 1
        while end and taken < len(data):
            text, end = data[taken : taken + _PLAIN_BYTES].decode("latin-1"), 0
            try:
                while (begin := _PLAIN_START.match(text, end)) is not None:
                    start = begin.end()
                    value, end = _decode(text, start)
                    found.append(value if values else text[start:end].encode("latin-1"))
            except (ValueError, RecursionError):
                pass
            taken += end
            if len(text) < _PLAIN_BYTES:
                break
        return taken

    def _take(self, found: list[Any], *, values: bool) -> bool:
        """Take the next value, or find that there is none; return whether there may be more."""
        if self._scanner is None:
            start = self._at = find_end(_JUNK, self._data, self._at, self._at + WINDOW)
            if start == len(self._data):
                return False
            if self._data[start] not in b"{[":  # the window's end
                return True
            # At the beginning the decoder has been there before.
            whole = _WHOLE.match(self._data, start, start + WINDOW) if start else None
            if whole is not None:
                self._cut_value(start, whole.end(), found, values=values)
                return True
            self._scanner = ValueScanner(start)
        scanner = self._scanner
        try:
            end = scanner.end(self._data)
        except ValueError:
            self._take_broken(scanner, found, values=values)
            return True
        if end is not None:
            self._cut_value(scanner.start, end, found, values=values)
        return end is not None

    def _take_broken(self, scanner: ValueScanner, found: list[Any], *, values: bool) -> None:
        """Continue where another value begins in one that cannot become JSON, or pass over the whole one."""
        self._scanner = None
        start, end = scanner.following(self._data)
        if start is None:
            self._skipper = scanner.skipper()
        elif end is None:
            self._at = start
        else:
            self._cut_value(start, end, found, values=values)

    def _skip(self) -> bool:
        """Pass over what is no value; return whether its end has arrived."""
        assert self._skipper is not None
        end = self._skipper.end(self._data)
        if end is None:
            return False
        if self._is_dropping:
            del self._data[:end]
            end = 0
        self._at, self._skipper, self._is_dropping = end, None, False
        return True

    def _shorten(self, found: list[Any], *, values: bool) -> None:
        """Keep nothing of what is too long but what is needed to find its end."""
        if not self._is_dropping and not values:
            found.append(bytes(self._data[: self._max_bytes]))
        if self._scanner is not None:
            self._skipper, self._scanner = self._scanner.skipper(), None
        self._is_dropping = self._skipper is not None
        del self._data[: self._skipper.forget() if self._skipper else len(self._data)]
        self._at = 0

    def _cut_value(self, start: int, end: int, found: list[Any], *, values: bool) -> None:
        """Take the value, what is before it, and those that follow it if nothing is broken here."""
        self._scanner = None
        is_plain = not (start and self._cut(start, found, values=values))
        self._cut(end - start, found, values=values)
        if is_plain and self._attempts and self._data:
            del self._data[: self._take_plain(self._data, found, values=values)]

    def _cut(self, end: int, found: list[Any], *, values: bool) -> bool:
        """Take a piece; return whether there is something in it."""
        piece = bytes(self._data[:end]).strip()
        del self._data[:end]
        self._at = 0
        if piece and values:
            with suppress(ValueError, RecursionError):
                found.append(json.loads(piece.decode("latin-1"), strict=False))
        elif piece:
            found.append(piece)
        return bool(piece)
