"""The fields of a class of events, read from its annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Mapping
from keyword import iskeyword
from typing import Annotated, Any, ClassVar, Final, Literal, Union, get_args, get_origin
from unicodedata import normalize

import attrs
from evframe_wire.visible import brief

from evframe_declarations.parameter import TYPES, Field, Parameter

_NAMES: Final = "str, int, float, bool, list or dict, or one of them or None"
_NONE: Final = type(None)


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


def own_fields(class_name: str, namespace: dict[str, Any], inherited: Collection[str]) -> dict[str, Field]:
    """Return the fields in the body of a class, and leave in *namespace* the defaults alone.

    Args:
        class_name: of the class.
        namespace: what the body has defined.
        inherited: the fields of the bases.

    Raises:
        TypeError: if one of them is no parameter.
    """
    annotations = namespace.get("__annotations__", {})
    for name, value in namespace.items():
        if name in {"__init__", "__slots__"}:
            raise TypeError(f"{class_name}.{name}: expected none, because the fields make it")
        if name not in annotations and (name in inherited or isinstance(value, Specified)):
            raise TypeError(f"{class_name}.{name}: expected an annotation, got {brief(value)} alone")
    found = {}
    for attribute, hint in _hints(class_name, namespace).items():
        where = f"{class_name}.{attribute}"
        if get_origin(hint) is ClassVar or hint is ClassVar:
            if attribute in inherited:
                raise TypeError(f"{where}: expected a field, as in a base")
            continue
        found[attribute] = _field(where, attribute, hint, namespace.get(attribute, attrs.NOTHING))
        if isinstance(said := namespace.get(attribute), Specified):
            namespace[attribute] = said.default
            if said.default is attrs.NOTHING:
                del namespace[attribute]
    return found


def check_fields(class_name: str, fields: Mapping[str, Field], *, kw_only: bool) -> None:
    """Raise TypeError unless a class can have these fields in this order."""
    names: set[str] = set()
    has_default = False
    for attribute, field in fields.items():
        where = f"{class_name}.{attribute}"
        if field.name in names:
            raise TypeError(f"{where}: expected another name than {brief(field.name)}, which another field has")
        if has_default and not field.has_default and not kw_only:
            raise TypeError(f"{where}: expected a default, because fields before it have one")
        names.add(field.name)
        has_default = field.has_default


def _hints(class_name: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotations of a body, read in its module; a text does not mean a field that has its name."""
    annotations = namespace.get("__annotations__", {})
    known = {each.__name__: each for each in namespace.get("__type_params__", ())}
    known |= {name: value for name, value in namespace.items() if name not in annotations}
    body = type(class_name, (), {"__annotations__": annotations, "__module__": namespace.get("__module__")})
    try:
        return typing.get_type_hints(body, localns=known, include_extras=True)
    except NameError as error:
        raise TypeError(f"{class_name}: expected annotations that the module has, got {error.name!r}") from None
    except Exception as error:  # whatever the code in a text raises
        raise TypeError(f"{class_name}: expected annotations that can be read, got {brief(error)}") from error


def _field(where: str, attribute: str, hint: Any, value: Any) -> Field:
    """Return the field that a body annotates with *hint*, and assigns *value*."""
    is_special = attribute.startswith("__") and attribute.endswith("__")
    if not attribute.isidentifier() or iskeyword(attribute) or normalize("NFKC", attribute) != attribute or is_special:
        raise TypeError(f"{where}: expected an identifier, which `param(name=…)` gives another name")
    said = value if isinstance(value, Specified) else Specified(value)
    if not isinstance(said.name, str | None):
        raise TypeError(f"{where}: expected a name that is text, got {brief(said.name)}")
    kind, is_nullable = _type_of(where, hint)
    _check_default(where, said.default, kind, is_nullable=is_nullable)
    parameter = Parameter(kind, said.default is None, said.summary)
    return Field(attribute, attribute if said.name is None else said.name, parameter, said.default is not attrs.NOTHING)


def _check_default(where: str, default: Any, kind: type, *, is_nullable: bool) -> None:
    if default is attrs.NOTHING or (default is None and is_nullable):
        return
    is_fit = type(default) is kind or (kind is float and type(default) is int)
    if kind in {list, dict} or not is_fit:
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
        others = [each for each in get_args(hint) if each is not _NONE]
        if len(others) == 1:
            return _type_of(where, others[0])[0], True
    if origin is Literal:
        kinds = {type(each) for each in get_args(hint)}
        if len(kinds - {_NONE}) == 1:
            return _type_of(where, *(kinds - {_NONE}))[0], _NONE in kinds
    kind = origin or hint
    if kind not in TYPES:
        raise TypeError(f"{where}: expected {_NAMES}, got {hint!r}")
    return kind, False
