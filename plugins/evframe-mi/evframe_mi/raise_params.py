"""The parameters of an event that a request raises: those of OpenSIPS as it reads them, and exact ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
from typing import Any

from evframe_wire.encoding import encode_leaf, encode_value
from evframe_wire.payload import Pairs
from evframe_wire.reading import read_first

from evframe import Parameter
from evframe.plugin import Channel, CommandError, int32


def values_of(params: Mapping[str, Any], event: Channel) -> Any:
    """Return the parameters of the event that a request raises."""
    if "json" in params:
        return _exact_params(params["json"])
    values = _raise_params(params["params"]) if "params" in params else None
    return _as_declared(event.enforced.params, values) if values and event.enforced is not None else values


def _exact_params(given: Any) -> Any:
    """Return the JSON value *given* as parameters: by name, in order, or else as a single one."""
    return given if isinstance(given, dict | list | Pairs) else [given]


def _raise_params(given: Any) -> Any:
    if isinstance(given, list):
        return [_array_item(item) for item in given]
    if isinstance(given, dict | Pairs):
        return given  # an extension: the manual of the original shows this form, but its code refuses it
    if given is None or isinstance(given, bool):
        raise CommandError(400, "No Params")
    if not isinstance(given, str):
        raise CommandError(400, "Bad Params")
    try:
        named = read_first(given.encode("utf-8", "surrogateescape"))  # text behind the first value is ignored
        if isinstance(named, dict):
            return {name: _named_value(value) for name, value in named.items()}
        if isinstance(named, Pairs):
            return Pairs((name, _named_value(value)) for name, value in named)
        raise CommandError(400, "Bad Params")
    except ValueError:
        raise CommandError(400, "Bad Params") from None


def _array_item(item: Any) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, bool) or not isinstance(item, int | float):
        raise CommandError(400, "Bad Params")
    return str(int32(item))


def _named_value(value: Any) -> str | int:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int32(value)
    return encode_value(value, leaf=_legacy_leaf).decode("utf-8", "surrogateescape")


def _legacy_leaf(value: Any) -> tuple[Any, bytes]:
    """Return the text of a value in this form of parameters: a float is written as its number, not as its digits."""
    if isinstance(value, float) and math.isfinite(value):
        return value, float.__repr__(value).encode()
    return encode_leaf(value)


def _as_declared(declared: Mapping[str, Parameter], given: Any) -> Any:
    """Return the parameters with numbers where the event declares them, because this form passes numbers as text."""
    if isinstance(given, list):
        wanted = [parameter.type for parameter in declared.values()]
        return [_number(value, kind) for value, kind in zip_longest(given, wanted[: len(given)])]
    types = {name: parameter.type for name, parameter in declared.items()}
    if isinstance(given, dict):
        return {name: _number(value, types.get(name)) for name, value in given.items()}
    return Pairs((name, _number(value, types.get(name))) for name, value in given)


def _number(value: Any, wanted: type | None) -> Any:
    if isinstance(value, str) and wanted in {int, float}:
        with suppress(ValueError):
            number = int(value) if wanted is int else float(value)
            return number if math.isfinite(number) else value
    return value
