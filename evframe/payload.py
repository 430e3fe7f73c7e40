"""The bytes on the wire: JSON-RPC 2.0 as `reference/transports.md` §14 fixes it."""

from __future__ import annotations

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
