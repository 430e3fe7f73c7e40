"""Typed events: a class declares an event, and its instances are occurrences of the event."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, dataclass_transform

import attrs
from evframe_wire.payload import Pairs

from evframe_declarations.declaration import Declaration, ParameterTypes
from evframe_declarations.fields import check_fields, own_fields, param
from evframe_declarations.parameter import Field

try:
    from msgspec import Struct, StructMeta  # which make an instance in an eighth of the time
except ImportError:
    Struct = StructMeta = None  # type: ignore[assignment,misc]
_DEFAULTS: Final = {field.name: field.default for field in attrs.fields(Declaration)}
_Event = TypeVar("_Event", bound="EventType")


class EventMeta(type if StructMeta is None else StructMeta):  # type: ignore[misc]
    """The class of the classes of events."""

    __declaration__: Declaration | None
    __fields__: tuple[Field, ...]
    __kw_only__: bool

    def __new__(  # noqa: PLR0913 what a class statement has
        mcs,
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        name: str | None = None,
        is_meta: bool = False,
        kw_only: bool = False,
    ) -> Any:
        """Make a class of events called *name*; without a name, one whose fields others inherit.

        With *kw_only*, the fields are given by name, so that one with a default may stand before one without.

        Raises:
            TypeError: if an annotation or a default is no type or value of a parameter.
        """
        inherited = _inherited(class_name, bases, kw_only=kw_only)
        own = own_fields(class_name, namespace, inherited)
        fields = inherited | own
        check_fields(class_name, fields, kw_only=kw_only)
        if StructMeta is None:
            # A data class gives a field without a default the one that the field has in a base.
            namespace |= {each: dataclasses.field() for each in own if not own[each].has_default}
            made: Any = type.__new__(mcs, class_name, bases, namespace)
            made = dataclasses.dataclass(frozen=True, kw_only=kw_only)(made) if bases else made
        else:
            options = {"frozen": True, "weakref": True, "kw_only": kw_only}
            made = super().__new__(mcs, class_name, bases or (Struct,), namespace, **options)
        made.__fields__ = tuple(fields.values())
        made.__declaration__ = None
        made.__kw_only__ = kw_only
        _check_shadows(made)
        if name is not None:
            params = {field.name: field.parameter for field in made.__fields__}
            summary = " ".join((namespace.get("__doc__") or "").partition("\n\n")[0].split())
            made.__declaration__ = Declaration(name, params, summary, is_meta=is_meta, event_type=made)
        return made

    def __init__(cls, *_: Any, **__: Any) -> None:  # noqa: N805 of a class of classes
        """Take the arguments of `__new__`."""


def _inherited(class_name: str, bases: tuple[type, ...], *, kw_only: bool) -> dict[str, Field]:
    """Return the fields of the bases.

    Raises:
        TypeError: if two of the bases have fields that no class has together, or if one is a struct of msgspec, or
            takes its fields in another way.
    """
    owners = [owner for base in bases if (owner := _owner_of(class_name, base)) is not None]
    if not owners:
        return {}
    last = max(owners, key=lambda owner: len(owner.__mro__))
    if not all(issubclass(last, owner) for owner in owners):
        raise TypeError(f"{class_name}: expected fields of one base, got those of {owners}")
    if last.__kw_only__ is not kw_only:  # the fields would have another order than the parameters
        raise TypeError(f"{class_name}: expected kw_only={last.__kw_only__} as {last.__name__} has, got {kw_only}")
    return {field.attribute: field for field in last.__fields__}


def _owner_of(class_name: str, base: type) -> EventMeta | None:
    """Return the class whose body has the last fields that *base* has; None when it has none."""
    for each in base.__mro__:
        if isinstance(each, EventMeta):
            if each.__fields__ and all(getattr(one, "__fields__", ()) != each.__fields__ for one in each.__bases__):
                return each
        elif StructMeta is not None and isinstance(each, StructMeta) and each is not Struct:
            raise TypeError(f"{class_name}: expected bases that are classes of events or have no fields, got {base!r}")
    return None


def _check_shadows(made: EventMeta) -> None:
    """Raise TypeError if another class has what hides a field."""
    for field in made.__fields__:
        for each in made.__mro__:
            if isinstance(each, EventMeta):
                if field.attribute in vars(each).get("__annotations__", {}):
                    break
            elif field.attribute in vars(each):
                raise TypeError(f"{made.__name__}.{field.attribute}: expected a field, got what {each.__name__} has")


if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True, field_specifiers=(param,))
    class EventType:
        """See below."""

        __declaration__: ClassVar[Declaration | None]
        __fields__: ClassVar[tuple[Field, ...]]

        def __init_subclass__(
            cls, *, name: str | None = None, is_meta: bool = False, kw_only: bool = False
        ) -> None: ...

else:

    class EventType(metaclass=EventMeta):
        """The base of classes that declare an event; an instance is an occurrence, to be raised.

        ::

            class Blocked(EventType, name="E_PIKE_BLOCKED"):
                "An address has reached its limit."

                ip: str = param(summary="Blocked source address.")

        The fields are the parameters, in order, with the types str, int, float, bool, list and dict. A field whose
        default is None is left out of an event that has no value for it. Instances cannot be changed.
        The types of the values are checked by the raise, as those of a mapping are.
        """


def declaration_of(event_type: type[EventType]) -> Declaration:
    """Return the declaration of a class of events.

    Raises:
        TypeError: if it is no class of events, or has no name.
    """
    found = event_type.__declaration__ if isinstance(event_type, EventMeta) else None
    if found is None:
        raise TypeError(f"expected a class of events with a name, got {event_type!r}")
    return found


def declare(event: str | type[EventType], params: ParameterTypes | None, **options: Any) -> Declaration | None:
    """Return the declaration of a class of events, or of an event called *event* with *params*; None without them.

    See `Declaration` for the options; a class has its own.

    Raises:
        TypeError: if there are parameters or options for a class, where they would have no effect.
    """
    if isinstance(event, type):
        declaration = declaration_of(event)
        if params is not None or any(options[name] != _DEFAULTS[name] for name in options):
            raise TypeError(f"{event.__name__}: expected a class alone, got what it declares beside it")
        return declaration
    return None if params is None else Declaration(event, params, **options)


def name_of(event: str | type[EventType]) -> str:
    """Return the name of an event that is given by its name or by its class.

    Raises:
        TypeError: if it is a class without a name.
    """
    return declaration_of(event).event if isinstance(event, type) else event


def params_of(event: EventType) -> dict[str, Any]:
    """Return the parameters of an event by name, in order."""
    params = {}
    for field in type(event).__fields__:
        value = getattr(event, field.attribute)
        if value is not None or not field.parameter.optional:
            params[field.name] = value
    return params


def event_of(event_type: type[_Event], params: Any) -> _Event:
    """Return the event of a class that has *params*: a mapping, values in order, or `Pairs`.

    Raises:
        ParameterError: if they do not fit its declaration.
    """
    declaration = declaration_of(event_type)
    if not declaration.fits(params):
        declaration.check(params)
        params = _by_name(declaration, params or {})
    fields = event_type.__fields__
    return event_type(**{field.attribute: params[field.name] for field in fields if field.name in params})


def _by_name(declaration: Declaration, params: Any) -> Mapping[str, Any]:
    """Return parameters that fit by name."""
    if isinstance(params, Pairs):
        params = dict(params) if params[0][0] is not None else [value for _, value in params]
    return params if isinstance(params, Mapping) else dict(zip(declaration.params, params, strict=False))
