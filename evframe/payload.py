"""The bytes on the wire: JSON-RPC 2.0 as `reference/transports.md` §14 fixes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from evframe.exceptions import ParameterError


class Unset:
    """The type of `UNSET`: a parameter that was created and never filled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class Pairs(tuple[tuple[str | None, Any], ...]):
    """Ordered (name, value) pairs: parameters that a mapping cannot hold.

    Names may repeat or be absent. As in the original, the first pair decides: with a name
    all of them become an object (an absent name is the empty string), without one an array.
    """

    __slots__ = ()


STRICT: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS

_ESCAPES: Final = {
    **{code: f"\\u{code:04x}".encode() for code in range(0x20)},
    0x08: b"\\b",
    0x09: b"\\t",
    0x0A: b"\\n",
    0x0C: b"\\f",
    0x0D: b"\\r",
    0x22: b'\\"',
    0x5C: b"\\\\",
}


def encode_text(text: str | bytes) -> bytes:
    """Return *text* as a JSON string; bytes that are not UTF-8 pass through unchanged."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else bytes(text)
    return b'"%b"' % b"".join(_ESCAPES.get(byte, b"%c" % byte) for byte in raw)


def _encode_slowly(value: object, event: str, parameter: object) -> bytes:
    if value is None or value is True or value is False:
        return b"null" if value is None else b"true" if value else b"false"
    if isinstance(value, str | bytes | bytearray):
        try:
            return encode_text(value if isinstance(value, str) else bytes(value))
        except UnicodeEncodeError:
            raise ParameterError(event, parameter, f"expected text, got the lone surrogate in {value!r}") from None
    if isinstance(value, int):
        return b"%d" % int(value)
    if isinstance(value, float):
        return orjson.dumps(float(value))  # null where it is not finite
    if isinstance(value, Mapping):
        return _encode_object(value.items(), event, parameter)
    if isinstance(value, list | tuple):
        return b"[%b]" % b",".join(_encode_slowly(item, event, parameter) for item in value if item is not UNSET)
    raise ParameterError(
        event, parameter, f"expected str, bytes, int, float, bool, None, a list or a mapping, got {value!r}"
    )


def _encode_object(pairs: Iterable[tuple[Any, Any]], event: str, parameter: object | None = None) -> bytes:
    members = []
    for name, value in pairs:
        if value is UNSET:
            continue
        if not isinstance(name, str | bytes):
            raise ParameterError(event, name, f"expected a name of type str, got {name!r}")
        place = name if parameter is None else parameter
        members.append(encode_text(name) + b":" + _encode_slowly(value, event, place))
    return b"{%b}" % b",".join(members)


def encode_params(event: str, params: Mapping[Any, Any] | tuple[Any, ...]) -> bytes:
    """Return the JSON text of *params*: a mapping, a tuple of values, or `Pairs`; byte by byte where it must be.

    Raises:
        ParameterError: if a name or a value has no JSON form; the error names it.
    """
    if isinstance(params, Mapping):
        return _encode_object(params.items(), event)
    if not isinstance(params, Pairs):
        return _encode_array(params, event)
    if params[0][0] is None:
        return _encode_array([value for _, value in params], event)
    return _encode_object((("" if name is None else name, value) for name, value in params), event)


def _encode_array(values: Iterable[Any], event: str) -> bytes:
    items = enumerate(values, 1)
    return b"[%b]" % b",".join(_encode_slowly(value, event, index) for index, value in items if value is not UNSET)


def envelope(method: str, body: bytes | None, *, request_id: int = 0) -> bytes:
    """Return the JSON-RPC request for *method*; a *request_id* goes first, 0 is left out."""
    start = b'{"id":%d,' % request_id if request_id else b"{"
    head = start + b'"jsonrpc":"2.0","method":' + encode_text(method)
    return head + b"}" if body is None else head + b',"params":' + body + b"}"


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
    return _decode_carefully(data) if data.lstrip()[:1] == b"{" else None


class _Object(list[tuple[str, Any]]):
    """A JSON object with its members in order, names twice too."""


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"expected JSON, got {text}")


_CAREFUL: Final = json.JSONDecoder(object_pairs_hook=_Object, parse_constant=_refuse_constant, strict=False)


def _decode_carefully(data: bytes) -> tuple[str, Any] | None:
    try:
        return _notification(_CAREFUL.decode(data.decode("utf-8", "surrogateescape")))
    except (ValueError, RecursionError):
        return None


def _notification(value: Any) -> tuple[str, Any] | None:
    if not isinstance(value, dict | _Object):
        return None
    members = dict(value)
    method, params = members.get("method"), members.get("params")
    if members.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return None
    if not isinstance(params, _Object):
        return (method, _plain(params)) if params is None or isinstance(params, dict | list) else None
    pairs = [(name, _plain(item)) for name, item in params]
    named = dict(pairs)
    return method, named if len(named) == len(pairs) else Pairs(pairs)


def _plain(value: Any) -> Any:
    """Return *value* with dicts in place of objects."""
    if isinstance(value, _Object):
        return {name: _plain(item) for name, item in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value
