"""The fields of a class of events, read from its annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Union, get_args, get_origin

import attrs
from evframe_wire.visible import brief

from evframe_declarations.parameter import TYPES, Field, Parameter

_NAMES: Final = "str, int, float, bool, list or dict, or one of them or None"


@attrs.frozen
class Specified:
    """What `param` says of a field."""

    default: Any = attrs.NOTHING
    name: str | None = None
    summary: str = ""


def param(*, default: Any = attrs.NOTHING, name: str | None = None, summary: str = "") -> Any:
    """Return what a field of an `EventType` is assigned.

    Args:
        default: its value in an event that is made without it.
        name: the name of the parameter, where that is no identifier, such as ``call-id``.
        summary: what it means, in a sentence.
    """
    return Specified(default, name, summary)


def specified_in(namespace: dict[str, Any]) -> dict[str, Specified]:
    """Return what the body of a class says of its fields, and leave in it the defaults alone."""
    found = {}
    for attribute in namespace.get("__annotations__", {}):
        value = namespace.get(attribute, attrs.NOTHING)
        found[attribute] = value if isinstance(value, Specified) else Specified(value)
        if isinstance(value, Specified):
            if value.default is attrs.NOTHING:
                del namespace[attribute]
            else:
                namespace[attribute] = value.default
    return found


def fields_of(made: type, inherited: Mapping[str, Field], specified: Mapping[str, Specified]) -> Iterator[Field]:
    """Yield the fields of a class in the order of its arguments.

    Raises:
        TypeError: if the annotation or the default of one is no type or value of a parameter.
    """
    try:
        hints = typing.get_type_hints(made, include_extras=True)
    except NameError as error:
        raise TypeError(f"{made.__name__}: expected annotations that the module has, got {error.name!r}") from None
    for attribute, hint in hints.items():
        if get_origin(hint) is ClassVar or hint is ClassVar:
            continue
        said = specified.get(attribute)
        if said is None:
            yield inherited[attribute]
            continue
        where = f"{made.__name__}.{attribute}"
        kind, is_nullable = _type_of(where, hint)
        _check_default(where, said.default, kind, is_nullable=is_nullable)
        yield Field(attribute, said.name or attribute, Parameter(kind, said.default is None, said.summary))


def _check_default(where: str, default: Any, kind: type, *, is_nullable: bool) -> None:
    if default is attrs.NOTHING or (default is None and is_nullable):
        return
    if kind in {list, dict} or type(default) is not kind:
        accepted = "None" if kind in {list, dict} else f"{kind.__name__}, or None"
        raise TypeError(
            f"{where}: expected a default that is {accepted} for `{kind.__name__} | None`, got {brief(default)}"
        )


def _type_of(where: str, hint: Any) -> tuple[type, bool]:
    """Return the type of a parameter, and whether it may be null, of an annotation."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _type_of(where, get_args(hint)[0])
    if origin is Union or origin is types.UnionType:
        others = [each for each in get_args(hint) if each is not type(None)]
        if len(others) == 1:
            return _type_of(where, others[0])[0], True
    if origin is Literal and len(kinds := {type(each) for each in get_args(hint)}) == 1:
        return _type_of(where, kinds.pop())
    kind = origin or hint
    if kind not in TYPES:
        raise TypeError(f"{where}: expected {_NAMES}, got {hint!r}")
    return kind, False
