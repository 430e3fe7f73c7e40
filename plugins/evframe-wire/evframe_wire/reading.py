"""The one reader of JSON that arrives: with every name, and numbers as they were sent.

orjson reads what it can read without a loss. Any other text is read token by token: names that are
there twice, integers beyond 64 bits, numbers whose digits a float does not keep, raw control
characters and bytes that are not UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]  # it is documented by its use alone
from typing import Any, Final

import orjson

from evframe_wire.payload import ExactNumber, Pairs
from evframe_wire.visible import brief

MAX_TEXT_DEPTH: Final = 1000
"""How deep a JSON text may be nested; what is deeper than parameters may be is refused when it is raised."""
MAX_INT_DIGITS: Final = 4300
"""The longest integer that is read as an `int`; the text of a longer one is kept as `ExactNumber`."""
_PLAIN_DIGITS: Final = 600  # fewer than any limit that Python can have

_SPACE: Final = re.compile(r"[ \t\r\n]*+")
# What is repeated possessively is a single character: Python 3.11.2 has a fault in possessive groups.
_TOKEN: Final = re.compile(
    r"[ \t\r\n]*+"
    r"""(?:"(?:([^"\\]*+)"|())"""  # a text without a backslash, or where any other begins
    r"|(-?(?:0|[1-9][0-9]*+)((?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?))|(true|false|null)|([][}{]))"
)
_PLAIN, _ESCAPED, _INTEGER, _FRACTION, _WORD, _MARK = range(1, 7)
_NAME: Final = re.compile(r"""[ \t\r\n]*+"(?:([^"\\]*+)"[ \t\r\n]*+:|())""")
_COLON: Final = re.compile(r"[ \t\r\n]*+:")
_AFTER: Final = re.compile(r"[ \t\r\n]*+([],}])")
_END_OF_OBJECT: Final = re.compile(r"[ \t\r\n]*+}")
_CHANGED_NUMBER: Final = re.compile(rb"[0-9][.eE]|-0|[0-9]{19}")  # what may be written otherwise
_CONTAINERS: Final = {dict, list}
_WANTED_NAME: Final = "a name in quotation marks, and ':'"
_WORDS: Final = {"true": True, "false": False, "null": None}


class NestingError(ValueError):
    """Raised for a JSON text that is nested deeper than `MAX_TEXT_DEPTH`."""


def read(data: bytes) -> Any:
    """Return the JSON value that *data* is: an object is a dict, or `Pairs` when a name occurs twice.

    Raises:
        ValueError: if it is not one JSON text, NaN and Infinity included, or nested deeper than `MAX_TEXT_DEPTH`.
    """
    with suppress(ValueError):
        return _read_quickly(data)
    text = data.decode("utf-8", "surrogateescape")
    value, end = _read_value(text, 0)
    if _end_of_space(text, end) != len(text):
        raise ValueError(f"expected one JSON text, got {brief(text[end : end + 20])} after it")
    return value


def read_first(data: bytes) -> Any:
    """Return the first JSON value of *data*, whatever follows it.

    Raises:
        ValueError: as `read` does.
    """
    with suppress(ValueError):
        return _read_quickly(data)
    return _read_value(data.decode("utf-8", "surrogateescape"), 0)[0]


def read_each(text: str) -> Iterator[Any]:
    """Yield every JSON value of *text*, in which several may follow each other.

    Bytes that are no UTF-8 may be in *text* as surrogates, which go out as the same bytes.

    Raises:
        ValueError: at the first that is not JSON; what follows it is not read.
    """
    position = _end_of_space(text, 0)
    while position < len(text):
        value, position = _read_value(text, position)
        position = _end_of_space(text, position)
        yield value


def _read_quickly(data: bytes) -> Any:
    """Return the value of *data*, unless orjson loses something of it, which is a ValueError."""
    value = orjson.loads(data)
    try:
        written = orjson.dumps(value)
    except TypeError:  # it is nested deeper than orjson writes
        is_kept = _keeps_all(_skeleton(data), value)
    else:
        is_kept = written == data or _skeleton(written) == _skeleton(data)
    if not is_kept:
        raise ValueError("expected JSON that is written as it was read")
    return value


def _keeps_all(skeleton: bytes, value: Any) -> bool:
    """Return whether *value* has every number and every member of the text with this *skeleton*."""
    if _CHANGED_NUMBER.search(skeleton):
        return False
    members = 0
    level: list[Any] = [value]
    for _ in range(MAX_TEXT_DEPTH):
        inner: list[Any] = []
        for each in level:
            if type(each) is dict:
                members += len(each)
                each = each.values()  # noqa: PLW2901 the items of it
            inner += [item for item in each if type(item) in _CONTAINERS]
        if not inner:
            return members == skeleton.count(b":")
        level = inner
    return False  # it is nested too deep


def _skeleton(data: bytes) -> bytes:
    """Return the marks, numbers and words of the JSON text *data*: nothing of its texts, and no space."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.split(b'"')[::2]).translate(None, b" \t\r\n")


def _end_of_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None
    return found.end()


def _read_value(text: str, position: int) -> tuple[Any, int]:  # noqa: C901, PLR0912 one loop, for its speed
    """Return the JSON value at *position*, and where it ends.

    The arrays and objects around are kept here, so that the interpreter's limit of calls does not matter.
    """
    around: list[tuple[list[Any], list[str] | None]] = []
    items: list[Any] = []
    names: list[str] | None = None  # of an object
    value: Any
    is_new = False  # whether an array has just begun
    while True:
        found = _TOKEN.match(text, position)
        if found is None:
            raise _unexpected(text, position, "JSON")
        position = found.end()
        if found.lastindex == _ESCAPED:
            value, position = _read_text(text, position)
        elif found.lastindex != _MARK:
            value = _scalar(found)
        elif (mark := found[_MARK]) in "[{":
            if len(around) == MAX_TEXT_DEPTH:
                raise NestingError(f"expected at most {MAX_TEXT_DEPTH} levels of nesting")
            is_new, end = mark == "[", None if mark == "[" else _END_OF_OBJECT.match(text, position)
            if end is None:
                around.append((items, names))
                items, names = [], (None if mark == "[" else [])
                if names is not None:
                    position = _read_name(text, position, names)
                continue
            value, position = {}, end.end()
        elif mark == "]" and is_new:
            value = items
            items, names = around.pop()
        else:
            raise _unexpected(text, position - 1, "a value")
        is_new = False
        while around:
            items.append(value)
            found = _AFTER.match(text, position)
            if found is None or found[1] == ("]" if names is not None else "}"):
                raise _unexpected(text, position, "',' or the end of what was begun")
            position = found.end()
            if found[1] == ",":
                if names is not None:
                    position = _read_name(text, position, names)
                break
            value = items if names is None else _object(names, items)
            items, names = around.pop()
        else:
            return value, position


def _object(names: list[str], items: list[Any]) -> dict[str, Any] | Pairs:
    named = dict(zip(names, items, strict=True))
    return named if len(named) == len(names) else Pairs(zip(names, items, strict=True))


def _read_name(text: str, position: int, names: list[str]) -> int:
    """Read the name of the next member, and its colon."""
    found = _NAME.match(text, position)
    if found is None:
        raise _unexpected(text, position, _WANTED_NAME)
    if found.lastindex == _PLAIN:
        names.append(found[_PLAIN])
        return found.end()
    name, end = _read_text(text, found.end())
    colon = _COLON.match(text, end)
    if colon is None:
        raise _unexpected(text, position, _WANTED_NAME)
    names.append(name)
    return colon.end()


def _read_text(text: str, position: int) -> tuple[str, int]:
    """Return the text that begins before *position*, behind its quotation mark, and where it ends."""
    try:
        return scanstring(text, position, False)  # type: ignore[no-any-return]
    except JSONDecodeError as error:
        raise _unexpected(text, error.pos, "a text with valid escapes, and its end") from None


def _scalar(found: re.Match[str]) -> Any:
    """Return the value of a token that is a text without a backslash, a number or a word."""
    kind = found.lastindex
    if kind == _PLAIN:
        return found[_PLAIN]
    return _WORDS[found[_WORD]] if kind == _WORD else _number(found[_INTEGER], is_integer=not found[_FRACTION])


def _number(text: str, *, is_integer: bool) -> int | float:
    if is_integer and text != "-0":
        if len(text) <= _PLAIN_DIGITS:
            return int(text)
        return int(Decimal(text)) if len(text) <= MAX_INT_DIGITS else ExactNumber(text)
    number = float(text)
    return number if orjson.dumps(number) == text.encode() else ExactNumber(text)


def _unexpected(text: str, position: int, wanted: str) -> ValueError:
    position = _end_of_space(text, position)
    got = brief(text[position : position + 20]) if position < len(text) else "its end"
    return ValueError(f"expected {wanted} at character {position}, got {got}")
