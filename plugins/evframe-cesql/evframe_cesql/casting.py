"""The three types, and the casts between them: section 3.7 of CESQL 1.0.

Strings, integers and booleans are `str`, `int` and `bool`. An integer has 64 bits, not the 32 of CESQL, so that
counters and times in microseconds are integers; with a bound, arithmetic takes a constant time.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import orjson
from evframe_wire.encoding import encode_value, is_shallow
from evframe_wire.payload import STRICT, UNSET

from evframe_cesql.errors import EvaluationError

Value = str | int | bool
LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1
ZERO: Final[dict[type | None, Value]] = {str: "", int: 0, bool: False, None: False}
"""The value of an expression of each type that has an error; an expression of an unknown type counts as a boolean."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,63}")
_CONTAINERS: Final = {dict, list, tuple}
_BOOLEANS: Final = {"true": True, "false": False}


def parameter(params: Any, name: str) -> Value:
    """Return a parameter as a string, an integer or a boolean; what is neither counts as its JSON text.

    Raises:
        EvaluationError: `missingAttribute` if it is missing, None or unset; `cast` if it has more than 64 bits, or no
            JSON text.
    """
    value = params.get(name)
    kind = value.__class__
    if kind is str or kind is bool or (kind is int and LOWEST <= value <= HIGHEST):
        return value  # type: ignore[no-any-return]
    if value is None or value is UNSET:
        raise EvaluationError("missingAttribute", name)
    return _as_primitive(value)


def exists(params: Any, name: str) -> bool:
    """Return whether a parameter has a value."""
    value = params.get(name)
    return value is not None and value is not UNSET


def _as_primitive(value: object) -> Value:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="surrogateescape")
    if isinstance(value, int):
        return within(int.__int__(value), "cast")  # of a subclass, not what it overrides
    try:
        return _json(value).decode(errors="surrogateescape")
    except Exception:  # noqa: BLE001 the methods of a mapping are code of the caller
        raise EvaluationError("cast", type(value).__name__) from None


def _json(value: Any) -> bytes:
    kind = type(value)
    if kind is float or (kind in _CONTAINERS and is_shallow(value)):
        with suppress(TypeError):  # what only the other way can encode
            return orjson.dumps(value, option=STRICT)
    return encode_value(value)


def within(value: int, kind: str = "math") -> int:
    """Return an integer that has at most 64 bits.

    Raises:
        EvaluationError: of *kind*, if it has more.
    """
    if LOWEST <= value <= HIGHEST:
        return value
    raise EvaluationError(kind, "an integer of more than 64 bits")


def to_string(value: Value) -> str:
    """Return a value as a string."""
    if value.__class__ is str:
        return value
    if value.__class__ is bool:
        return "true" if value else "false"
    return str(value)


def to_integer(value: Value) -> int:
    """Return a value as an integer.

    Raises:
        EvaluationError: `cast`, if a string is no integer of at most 63 digits and 64 bits.
    """
    if value.__class__ is not str:
        return int(value)
    if value.isdigit() and value.isascii() and len(value) < 19:  # quick, and surely within 64 bits
        return int(value)
    if _INTEGER.fullmatch(value) is None:
        raise EvaluationError("cast", value)
    return within(int(value), "cast")


def to_boolean(value: Value) -> bool:
    """Return a value as a boolean.

    Raises:
        EvaluationError: `cast`, if a string is neither `true` nor `false`, in whatever case.
    """
    if value.__class__ is not str:
        return bool(value)
    found = _BOOLEANS.get(value.lower()) if len(value) <= len("false") else None
    if found is None:
        raise EvaluationError("cast", value)
    return found


CASTS: Final[dict[type, Callable[[Value], Value]]] = {str: to_string, int: to_integer, bool: to_boolean}
