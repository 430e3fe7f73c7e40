"""Makes attrs classes from the values of a file: exact types, every problem at once with its path."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.cols import list_structure_factory
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, make_mapping_structure_fn, override

from evframe.config.secret import Filled

FIELD: Final = re.compile(r"[a-z_]\w*(\[\d+\])?(\.\w+)?: ")
"""What a sentence of a validator begins with."""
LARGEST: Final = 2**63 - 1
"""The largest whole number of an option."""
LONGEST: Final = {"_s": (2**31 - 1, "seconds"), "_ms": (2**31 - 1, "milliseconds")}
"""The longest time of an option, by the end of its name: event loops, threads and sockets take no longer ones."""
_Hook = Callable[[Any, Any], Any]


def check_number(name: str, value: float) -> None:
    """Refuse a number that is not finite, is beyond 64 bits, or is too long for the unit that *name* ends with.

    Raises:
        ValueError: with what is expected, without the name.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value!r}")
    longest, unit = next((most for end, most in LONGEST.items() if name.endswith(end)), (LARGEST, ""))
    if value > longest:
        raise ValueError(f"expected at most {longest}{unit and ' '}{unit}, got {_short(value)}")
    if value < -LARGEST:
        raise ValueError(f"expected at least {-LARGEST}, got {_short(value)}")


def check_timeout(name: str, value: float | None) -> None:
    """Refuse an argument that is neither a number of seconds nor None; a negative number is permitted.

    Raises:
        ValueError: with *name*, which ends in ``_s``, and what is expected.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: expected seconds or None, got {value!r}")  # noqa: TRY004 as for a number that does not fit
    try:
        check_number(name, value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _short(value: float) -> str:
    """Return a number as text: a whole one may have more digits than Python converts."""
    return repr(value) if abs(value) < 10**40 else "a number of more than 40 digits"


def structure(value: Any, kind: Any, path: str, problems: list[str], besides: Iterable[str] = ()) -> Any:
    """Return *value* as *kind*, or None after adding its errors to *problems*.

    Args:
        value: the value from a file.
        kind: the class or the type that *value* has to be.
        path: where *value* stands in the file.
        problems: the list that gets the errors.
        besides: keys that the table at *path* may have besides the fields of *kind*, for the error of an unknown one.
    """
    try:
        return _CONVERTER.structure(value, kind)
    except (cattrs.BaseValidationError, ForbiddenExtraKeysError, TypeError, ValueError, KeyError) as error:
        problems += _problems(error, path, besides)
    return None


def _problems(error: BaseException, path: str, besides: Iterable[str] = ()) -> list[str]:
    """Return one line for each leaf of *error*, with the path of the invalid value."""
    if isinstance(error, cattrs.BaseValidationError):
        lines = []
        for inner in error.exceptions:
            place = path
            for note in getattr(inner, "__notes__", ()):
                step = getattr(note, "name", getattr(note, "index", None))
                if step is not None:
                    place = f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}"
            lines += _problems(inner, place, besides if place == path else ())
        return lines
    if isinstance(error, ForbiddenExtraKeysError):
        known = sorted({field.name for field in attrs.fields(error.cl) if field.init} | {*besides})
        return [_unknown_key(path, key, known) for key in sorted(error.extra_fields)]
    if isinstance(error, KeyError):
        return [f"{path}: expected a value, got nothing"]
    # A validator's sentence begins with the name of its field.
    return [f"{path}.{error}" if FIELD.match(str(error)) else f"{path}: {error}"]


def _unknown_key(path: str, key: str, known: Sequence[str]) -> str:
    return f"{path}: unknown key {key!r}, expected {'one of ' if known else 'no key'}{', '.join(known)}"


def _exact(wanted: type[Any]) -> _Hook:
    more = {Filled} if wanted is str else ()

    def take(value: Any, _: Any) -> Any:
        if type(value) not in {wanted, *more} and not (wanted is float and type(value) is int):
            raise TypeError(f"expected {wanted.__name__}, got {value!r}")
        if isinstance(value, int | float):
            check_number("", value)
        return float(value) if wanted is float else value

    return take


def _exact_union(value: Any, kind: Any) -> Any:
    """Take a value whose type is one of several scalar ones, such as ``int | str``."""
    if value is None or type(value) in get_args(kind) or (type(value) is Filled and str in get_args(kind)):
        if type(value) in {int, float}:
            check_number("", value)
        return value
    wanted = " or ".join(getattr(part, "__name__", str(part)) for part in get_args(kind) if part is not type(None))
    raise TypeError(f"expected {wanted}, got {value!r}")


def _is_scalar_union(kind: Any) -> bool:
    parts = set(get_args(kind))
    return get_origin(kind) in {Union, UnionType} and parts <= {str, int, float, bool, type(None)}


def _choice(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise ValueError(f"expected one of {', '.join(map(str, get_args(kind)))}, got {value!r}")
    return value


def _exact_list(kind: Any, converter: cattrs.Converter) -> _Hook:
    """Return a hook that takes only lists: it never splits a text or a table into items."""
    take = list_structure_factory(kind, converter)

    def structure(value: Any, kind: Any) -> Any:
        if type(value) is not list:
            raise TypeError(f"expected a list, got {value!r}")
        return take(value, kind)

    return structure


def _exact_table(kind: Any, converter: cattrs.Converter) -> _Hook:
    """Return a hook that takes only tables."""
    take = make_mapping_structure_fn(kind, converter)

    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a table, got {value!r}")
        return take(value, kind)

    return structure


def _options(kind: Any, converter: cattrs.Converter) -> _Hook:
    """Return a hook for an attrs class that reports the errors of all validators; attrs raises only the first."""
    fields = attrs.fields(attrs.resolve_types(kind))
    hooks = {field.name: _field_hook(field, converter) for field in fields if _is_number(field.type)}
    overrides: dict[str, Any] = {name: override(struct_hook=hook) for name, hook in hooks.items()}
    take = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **overrides)

    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a table, got {value!r}")
        try:
            return take(value, kind)
        except ClassValidationError as error:
            rules = {str(rule): rule for rule in _broken_rules(value, kind, converter, hooks)}
            others = [inner for inner in error.exceptions if str(inner) not in rules]
            raise ClassValidationError(error.message, [*others, *rules.values()], kind) from None

    return structure


def _field_hook(field: attrs.Attribute[Any], converter: cattrs.Converter) -> _Hook:
    """Return a hook for the values of one option, which checks a number against the unit in the option's name."""

    def structure(value: Any, kind: Any) -> Any:
        taken = converter.structure(value, kind)
        if type(taken) in {int, float}:
            check_number(field.name, taken)
            if field.validator is None and taken < 0 and field.name.endswith(tuple(LONGEST)):
                raise ValueError(f"expected 0 or more, got {value!r}")
        return taken

    return structure


def _is_number(kind: Any) -> bool:
    return not {kind, *get_args(kind)}.isdisjoint({int, float})


def _broken_rules(
    value: Mapping[str, Any], kind: Any, converter: cattrs.Converter, hooks: Mapping[str, _Hook]
) -> Iterator[ValueError]:
    """Yield the errors of the validators of *kind* for the values that have the right type."""
    stand_in = object.__new__(kind)
    given = []
    for field in attrs.fields(attrs.resolve_types(kind)):
        if not field.init:
            continue  # no option
        found: Any = field.default
        if isinstance(found, attrs.Factory):  # type: ignore[arg-type]
            found = found.factory(stand_in) if found.takes_self else found.factory()
        if field.name in value:
            with suppress(Exception):  # the error is among the problems already
                found = hooks.get(field.name, converter.structure)(value[field.name], field.type)
                given.append(field)
        object.__setattr__(stand_in, field.name, found)
    for field in given:
        if field.validator is not None:
            try:
                field.validator(stand_in, field, getattr(stand_in, field.name))
            except ValueError as error:
                yield error


def _is(origin: Any) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for scalar in (str, int, float, bool):
        converter.register_structure_hook(scalar, _exact(scalar))
    converter.register_structure_hook_func(_is_scalar_union, _exact_union)
    converter.register_structure_hook_func(_is(Literal), _choice)
    converter.register_structure_hook_factory(_is(list), _exact_list)
    converter.register_structure_hook_factory(_is(dict), _exact_table)
    converter.register_structure_hook_factory(attrs.has, _options)
    return converter


_CONVERTER: Final = _make_converter()
