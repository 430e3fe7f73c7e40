"""The bytes on the wire: JSON-RPC 2.0 (`docs/reference/wire-format.md`)."""

from __future__ import annotations

from typing import Any, Final, Self

import orjson

MAX_DEPTH: Final = 254
"""How deep the parameters of an event may be nested, counted from the object or array that they are."""
MAX_DIGITS: Final = 50_000
"""How long an integer may be: the time to write one grows with the square of its digits."""


class Unset:
    """The type of `UNSET`: a parameter that was created and never filled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class Pairs(tuple[tuple[str | None, Any], ...]):
    """Ordered (name, value) pairs: what a mapping cannot hold, as parameters or as a value within them.

    Names may repeat or be absent. As in the original, the first pair decides: with a name
    all of them become an object (an absent name is the empty string), without one an array.
    """

    __slots__ = ()


class ExactNumber(float):
    """A number that has arrived as JSON, with digits that a float does not keep: *text* has them.

    It calculates as the nearest float, and is sent as it has arrived.
    """

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Self:
        """Return the number that *text* is; ValueError when it is none."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # what makes it anew is its text
        return (self.text,)

    def __repr__(self) -> str:
        return self.text


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


def envelope(method: str, body: bytes | None, *, request_id: int = 0) -> bytes:
    """Return the JSON-RPC request for *method*; a *request_id* goes first, 0 is left out."""
    start = b'{"id":%d,' % request_id if request_id else b"{"
    head = start + b'"jsonrpc":"2.0","method":' + encode_text(method)
    return head + b"}" if body is None else head + b',"params":' + body + b"}"
