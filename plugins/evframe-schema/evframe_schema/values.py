"""The JSON Schema of an option: its type, and what its validators check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs
from evframe_options import IS_SECRET, LARGEST
from evframe_options.describing import FROM_OTHERS, Option, options_of, sentence
from evframe_options.structuring import LONGEST

_SCALARS: Final = {str: "string", int: "integer", float: "number", bool: "boolean"}
REFERENCE: Final = r"\$\{(file|env):"
"""What a text has that is filled with a secret."""


def table_schema(options: type, *, is_filled: bool) -> dict[str, Any]:
    """Return the schema of a table, of its attrs class.

    Args:
        options: the attrs class.
        is_filled: whether the table is of a plugin, where references may stand in secrets alone.
    """
    return object_schema(options_of(options, inherited=True), sentence(options), is_filled=is_filled)


def object_schema(options: list[Option], about: str, *, is_filled: bool) -> dict[str, Any]:
    """Return the schema of a table with these options and no others."""
    schema: dict[str, Any] = {"description": about} if about else {}
    schema |= {"type": "object", "additionalProperties": False}
    required = [option.name for option in options if option.default is attrs.NOTHING]
    if required:
        schema["required"] = required
    return schema | {"properties": {option.name: option_schema(option, is_filled=is_filled) for option in options}}


def option_schema(option: Option, *, is_filled: bool) -> dict[str, Any]:
    """Return the schema of the value of an option."""
    is_secret = IS_SECRET in option.metadata
    schema = _kind_schema(option.type, option, is_filled=is_filled and not is_secret)
    if is_secret and "pattern" in schema:
        schema["pattern"] = f"{schema['pattern']}|{REFERENCE}"
    if option.meaning:
        schema = {"description": ""} | schema | {"description": option.meaning.replace("``", "`")}
    default = option.default
    if default is not attrs.NOTHING and default is not FROM_OTHERS and default is not None and _is_json(default):
        schema["default"] = default
    return schema


def _kind_schema(kind: Any, option: Option, *, is_filled: bool) -> dict[str, Any]:
    """Return the schema of a type; None has no form in TOML."""
    origin, parts = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and attrs.has(kind):
        return table_schema(kind, is_filled=is_filled)
    if origin in {list, dict}:
        inner = _kind_schema(parts[-1], attrs.evolve(option, validator=None, name=""), is_filled=is_filled)
        return (
            {"type": "array", "items": inner} if origin is list else {"type": "object", "additionalProperties": inner}
        )
    if origin is Literal:
        return {"enum": [*parts]}
    if origin in {Union, UnionType}:
        kinds = [_kind_schema(part, option, is_filled=is_filled) for part in parts if part is not NoneType]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return _scalar_schema(kind, option, is_filled=is_filled)


def _scalar_schema(kind: Any, option: Option, *, is_filled: bool) -> dict[str, Any]:
    """Return the schema of a text, a number or a boolean; an empty one of any value."""
    if kind not in _SCALARS:
        return {}
    schema: dict[str, Any] = {"type": _SCALARS[kind]}
    if kind in {int, float}:
        schema |= _range(option)
    if kind is str:
        for validator in _validators(option.validator):
            if isinstance(pattern := getattr(validator, "pattern", None), str):
                schema["pattern"] = f"^({pattern})$"
            if isinstance(values := getattr(validator, "values", None), tuple):
                schema["enum"] = [*values]
        if is_filled:
            schema["not"] = {"pattern": REFERENCE}
    return schema


def _range(option: Option) -> dict[str, Any]:
    """Return the bounds of a number, of its validators and of the unit in its name."""
    longest = next((most for end, (most, _) in LONGEST.items() if option.name.endswith(end)), LARGEST)
    is_time = option.name.endswith(tuple(LONGEST))
    found: dict[str, Any] = {"minimum": 0 if is_time and option.validator is None else -LARGEST, "maximum": longest}
    for validator in _validators(option.validator):
        if (smallest := getattr(validator, "smallest", None)) is not None:
            found["minimum"] = max(found.get("minimum", smallest), smallest)
        if (largest := getattr(validator, "largest", None)) is not None:
            found["maximum"] = min(found["maximum"], largest)
        if (limit := getattr(validator, "limit", None)) is not None:
            found.pop("minimum", None)
            found["exclusiveMinimum"] = limit
        if (values := getattr(validator, "values", None)) is not None:
            found = {"enum": [*values]}
            break
    if found.get("minimum") == -LARGEST:
        del found["minimum"]
    if found.get("maximum") == LARGEST:
        del found["maximum"]
    return found


def _validators(validator: Any) -> Iterator[Any]:
    """Yield a validator, and those that it consists of: attrs makes one of a list, and of `optional`."""
    if validator is None:
        return
    yield validator
    if attrs.has(type(validator)):
        for part in attrs.astuple(validator, recurse=False):
            for each in part if isinstance(part, tuple | list) else (part,):
                if callable(each):
                    yield from _validators(each)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
