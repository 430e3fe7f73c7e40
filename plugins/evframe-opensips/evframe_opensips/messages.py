"""The events of an instance in the bytes that arrive (`reference/transports.md` §14)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import attrs
from orjson import loads

from evframe import Pairs

# In JSON a quote within a string has a backslash before it, and after the quote that ends one no
# letter follows: this is found between two messages only.
_BOUNDARY: Final = re.compile(rb'(?<=\})\s*(?=\{\s*"[A-Za-z])')
_SPACE: Final = re.compile(r"[ \t\r\n]*")


@attrs.frozen(slots=True)
class Message:
    """A JSON-RPC notification, or a request when it has an id."""

    method: str
    params: Any
    """A dict, a list, `Pairs` when a name is there twice, or None."""
    id: Any = None


class NotAnEvent(ValueError):  # noqa: N818 it may be somebody else's JSON
    """Raised for JSON that is no notification of an event."""


def split(data: bytes) -> list[bytes]:
    """Return the pieces of *data* between which one message ends and the next begins."""
    return _BOUNDARY.split(data)


def read(data: bytes) -> Message:
    """Return the message that *data* is.

    Raises:
        NotAnEvent: if it is other JSON.
        ValueError: if it is not one JSON text, or one that has to be read carefully.
    """
    value = loads(data)
    message = _message(value)
    if type(message.params) is dict and data.count(b'":') != len(value) + len(message.params):
        raise ValueError("expected each name once")  # or there is a colon within a text: the careful way can tell
    return message


def read_carefully(data: bytes) -> Iterator[Message | NotAnEvent]:
    """Yield every message of *data*, in which several may follow each other.

    Bytes that are not UTF-8 are kept as surrogates, which go out as the same bytes; raw control
    characters are accepted, and parameters whose names are there twice are kept.

    Raises:
        ValueError: at the first that is not JSON; what follows it is not read.
    """
    text = data.decode("utf-8", "surrogateescape")
    position = _end_of_space(text, 0)
    while position < len(text):
        try:
            value, position = _decode(text, position)
            position = _end_of_space(text, position)
            found = _read(value)
        except RecursionError:
            raise ValueError("expected JSON, got too deep a nesting") from None
        yield found


def _read(value: Any) -> Message | NotAnEvent:
    try:
        message = _message(dict(value) if isinstance(value, _Object) else value)
    except NotAnEvent as error:
        return error
    return attrs.evolve(message, params=_params(message.params))


def is_whole(data: bytes) -> bool:
    """Return whether *data* is JSON texts, of which the last one has its end."""
    try:
        for _ in read_carefully(data):
            pass
    except ValueError:
        return False
    return True


class _Object(list[tuple[str, Any]]):
    """A JSON object with its members in order, names twice too."""


def _no_constant(text: str) -> Any:
    raise ValueError(f"expected JSON, got {text}")


_decode: Final = json.JSONDecoder(object_pairs_hook=_Object, parse_constant=_no_constant, strict=False).raw_decode


def _end_of_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None
    return found.end()


def _message(value: Any) -> Message:
    if type(value) is not dict:
        raise NotAnEvent(f"expected a JSON object, got {type(value).__name__}")
    method = value.get("method")
    params = value.get("params")
    if type(method) is not str:
        raise NotAnEvent(f"expected a method, got {type(method).__name__}")
    if params is not None and not isinstance(params, dict | list):
        raise NotAnEvent(f"expected parameters in an object or an array, got {type(params).__name__}")
    return Message(method, params, value.get("id"))


def _params(params: Any) -> Any:
    if not isinstance(params, _Object):
        return _plain(params)
    pairs = [(name, _plain(value)) for name, value in params]
    named = dict(pairs)
    return named if len(named) == len(pairs) else Pairs(pairs)


def _plain(value: Any) -> Any:
    if isinstance(value, _Object):
        return {name: _plain(item) for name, item in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value
