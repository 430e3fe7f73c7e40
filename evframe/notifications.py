"""JSON that arrives, read so that raising it again gives the same bytes (`reference/transports.md` §14)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from evframe.payload import Pairs

_SPACE: Final = re.compile(r"[ \t\r\n]*")


class Object(list[tuple[str, Any]]):
    """A JSON object with its members in order, names twice too."""


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"expected JSON, got {text}")


_decode: Final = json.JSONDecoder(object_pairs_hook=Object, parse_constant=_refuse_constant, strict=False).raw_decode


def values(text: str) -> Iterator[Any]:
    """Yield every JSON value of *text*, in which several may follow each other; objects come as `Object`.

    Raw control characters are accepted. Bytes that are no UTF-8 may be in *text* as surrogates,
    which go out as the same bytes.

    Raises:
        ValueError: at the first that is not JSON; what follows it is not read.
    """
    position = _end_of_space(text, 0)
    while position < len(text):
        try:
            value, position = _decode(text, position)
        except RecursionError:
            raise ValueError("expected JSON, got too deep a nesting") from None
        position = _end_of_space(text, position)
        yield value


def _end_of_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None
    return found.end()


def params_of(value: Any) -> Any:
    """Return parameters that `values` has read as an event takes them: `Pairs` when a name is there twice.

    Raises:
        ValueError: if they are nested too deep.
    """
    try:
        if not isinstance(value, Object):
            return _plain(value)
        pairs = [(name, _plain(item)) for name, item in value]
    except RecursionError:
        raise ValueError("expected JSON, got too deep a nesting") from None
    named = dict(pairs)
    return named if len(named) == len(pairs) else Pairs(pairs)


def _plain(value: Any) -> Any:
    """Return *value* with dicts in place of objects."""
    if isinstance(value, Object):
        return {name: _plain(item) for name, item in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def decode_notification(data: bytes) -> tuple[str, Any] | None:
    """Return method and parameters of the JSON-RPC notification, or request, that *data* is; None if it is none.

    The parameters of an event's payload, when they are raised again, give the same bytes: names
    that are there twice come as `Pairs`, integers in any size, and bytes that are no UTF-8 as
    surrogates.
    """
    try:
        value = orjson.loads(data)
        # Something else would be written where a name is there twice, or an integer has more than 64 bits.
        if orjson.dumps(value) == data:
            return _notification(value)
    except (ValueError, TypeError):
        pass
    if data.lstrip()[:1] != b"{":
        return None
    try:
        (value,) = values(data.decode("utf-8", "surrogateescape"))
        return _notification(value)
    except ValueError:
        return None


def _notification(value: Any) -> tuple[str, Any] | None:
    if not isinstance(value, dict | Object):
        return None
    members = dict(value)
    method, params = members.get("method"), members.get("params")
    if members.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return None
    return (method, params_of(params)) if params is None or isinstance(params, dict | list) else None
