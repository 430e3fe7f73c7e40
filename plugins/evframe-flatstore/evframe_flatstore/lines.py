"""From events to lines: ``[name] {delimiter value} newline``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import orjson
from evframe_wire.encoding import encode_leaf, encode_value

from evframe import UNSET, Event, Pairs

_EXACT: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS


class LineFormat:
    """Writes events as lines, none of which holds a newline, CR or NUL of a value.

    Args:
        delimiter: what stands between columns.
        escape: what replaces it within a value, as long as it is; None for a space
            in place of its first character, wherever that stands.
        suppress_name: whether the event's name is left out.
    """

    def __init__(self, delimiter: str = ",", escape: str | None = None, *, suppress_name: bool = False) -> None:
        self._delimiter = delimiter.encode()
        self._first = delimiter[:1].encode()
        self._escape = None if escape is None else escape.encode()
        # A space cannot stand in for itself.
        self._blank = b"_" if self._first == b" " else b" "
        self._controls = bytes.maketrans(b"\n\r\0", self._blank * 3)
        self._suppress_name = suppress_name

    def batch(self, events: Sequence[Event]) -> bytes:
        """Return the lines of *events*: at once when nothing in them needs care, else one by one."""
        return self.batch_at_once(events) or b"".join(map(self.line, events))

    def batch_at_once(self, events: Sequence[Event]) -> bytes | None:
        """Return the lines by way of one JSON text, or None when a value needs the care of `line`.

        Without a backslash, a brace or a surplus bracket or comma in that text, what is left of
        it between brackets, commas and quotes are plain values.
        """
        rows: list[Any]
        try:
            if self._suppress_name:
                rows = [tuple(event.params.values()) for event in events]
            else:
                rows = [(event.definition.name, *event.params.values()) for event in events]
        except AttributeError:
            start = 1 if self._suppress_name else 0
            rows = [(event.definition.name, *_values(event.params))[start:] for event in events]
        try:
            text = orjson.dumps(rows, option=_EXACT)
        except TypeError:
            return None
        count = len(rows)
        commas = sum(map(len, rows)) + count - 1 - (count - rows.count(()))
        delimiter = self._delimiter
        if (
            b"\\" in text
            or b"{" in text
            or text.count(b",") != commas
            or (delimiter != b"," and self._first and self._first in text)
        ):
            return None
        if b"null" in text:
            text = text.replace(b",null", b",").replace(b"[null", b"[")
        text = text[2:-2].replace(b"],[", b"\n")
        if b"[" in text:  # of a value: those of the rows are gone, and `],[` in a value has a surplus comma
            return None
        text = text.translate(None, b'"') + b"\n"
        return text if delimiter == b"," else text.replace(b",", delimiter)

    def line(self, event: Event) -> bytes:
        """Return the line of one event."""
        columns = [self._column(value) for value in _values(event.params)]
        if not self._suppress_name:
            columns.insert(0, self._column(event.definition.name))
        return self._delimiter.join(columns) + b"\n"

    def heading(self, event: Event, text: str | None) -> bytes:
        """Return the first line of a file that begins with *event*.

        Args:
            event: whose declared parameters are the columns.
            text: what the line is instead; None for the columns. Without either the file has no such line.
        """
        if text is not None:
            return text.encode("utf-8", "surrogateescape") + b"\n"
        declared = event.definition.params
        if declared is None:
            return b""
        columns = list(map(self._column, declared))
        if not self._suppress_name:
            columns.insert(0, b"event")
        return self._delimiter.join(columns) + b"\n"

    def _column(self, value: object) -> bytes:
        raw = _text(value).translate(self._controls)
        delimiter = self._delimiter
        if not delimiter:
            return raw
        if self._escape is None:
            return raw.replace(self._first, self._blank)
        raw = raw.replace(delimiter, self._escape)
        # The end of a value and the delimiter after it must not read as a delimiter further ahead.
        while (at := (raw + delimiter).find(delimiter)) < len(raw):
            raw = raw[:at] + self._blank + raw[at + 1 :]
        return raw


def _values(params: Any) -> Any:
    if type(params) is tuple:
        return params
    if isinstance(params, Pairs):
        return [value for _, value in params]
    return params.values() if params else ()


def _text(value: object) -> bytes:
    """Return the text of one value: strings and bytes as they are, nothing for no value, else JSON."""
    if value is None or value is UNSET:
        return b""
    if type(value) is int:
        return encode_leaf(value)[1]
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str):
        return str.__str__(value).encode("utf-8", "surrogateescape")
    try:
        text = orjson.dumps(value, option=_EXACT)
    except TypeError:
        text = encode_value(value)  # bytes, `Pairs`, and numbers with digits that orjson does not write
    if text[:1] == b'"':
        return str(json.loads(text)).encode()
    return b"" if text == b"null" else text
