"""Makes attrs classes from the values of a file: exact types, every problem at once with its path."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs

from evframe_options.secret import Filled

FIELD: Final = re.compile(r"[a-z_]\w*(\[\d+\])?(\.\w+)?: ")
"""What a sentence of a validator begins with."""
LARGEST: Final = 2**63 - 1
"""The largest whole number of an option."""
LONGEST: Final = {"_s": (2**31 - 1, "seconds"), "_ms": (2**31 - 1, "milliseconds")}
"""The longest time of an option, by the end of its name: event loops, threads and sockets take no longer ones."""
_SCALARS: Final = {str, int, float, bool, NoneType}


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


def check_named_number(name: str, value: float) -> None:
    """Refuse a number as `check_number` does, with *name* in the error."""
    try:
        check_number(name, value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def check_timeout(name: str, value: float | None) -> None:
    """Refuse an argument that is neither a number of seconds nor None; a negative number is permitted.

    Raises:
        ValueError: with *name*, which ends in ``_s``, and what is expected.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: expected seconds or None, got {value!r}")  # noqa: TRY004 as for a number that does not fit
    check_named_number(name, value)


def _short(value: float) -> str:
    """Return a number as text: a whole one may have more digits than Python converts."""
    return repr(value) if abs(value) < 10**40 else "a number of more than 40 digits"


def structure(value: Any, kind: Any, path: str, problems: list[str]) -> Any:
    """Return *value* as *kind*, or None after adding its errors to *problems*.

    Args:
        value: the value from a file.
        kind: an attrs class, a scalar, a list, a table, a Literal, or a union of scalars or with None.
        path: where *value* stands in the file.
        problems: the list that gets the errors.
    """
    reader = Reader()
    found = reader.read(value, kind, path)
    problems += reader.problems
    return None if reader.problems else found


class Reader:
    """Reads values of a file; what `read` returns is complete when there are no problems."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, value: Any, kind: Any, path: str) -> Any:
        """Return *value*, which stands at *path*, as *kind*; None after a problem."""
        try:
            return self._read(value, kind, path)
        except (TypeError, ValueError) as error:
            self._add(path, error)
        return None

    def _add(self, path: str, error: Exception) -> None:
        # A validator's sentence begins with the name of its field.
        self.problems.append(f"{path}.{error}" if FIELD.match(str(error)) else f"{path}: {error}")

    def read_option(self, value: Any, field: attrs.Attribute[Any], path: str) -> Any:
        """Return the value of one option; a number is checked against the unit in the option's name."""
        taken = self.read(value, field.type, path)
        if type(taken) in {int, float}:
            try:
                check_number(field.name, taken)
                if field.validator is None and taken < 0 and field.name.endswith(tuple(LONGEST)):
                    raise ValueError(f"expected 0 or more, got {value!r}")
            except ValueError as error:
                self.problems.append(f"{path}: {error}")
        return taken

    def read_text(self, value: str) -> str:
        """Return a text; overridden where some texts are refused."""
        return value

    def _read(self, value: Any, kind: Any, path: str) -> Any:
        origin, parts = get_origin(kind), get_args(kind)
        if attrs.has(kind):
            return self._read_options(value, kind, path)
        if origin is list:
            if type(value) is not list:  # a text or a table has items, too
                raise TypeError(f"expected a list, got {value!r}")
            return [self.read(item, parts[0], f"{path}[{index}]") for index, item in enumerate(value)]
        if origin is dict:
            if not isinstance(value, Mapping):
                raise TypeError(f"expected a table, got {value!r}")
            return {key: self.read(item, parts[1], f"{path}.{key}") for key, item in value.items()}
        if origin is Literal and (_kind_of(value), value) not in [(type(part), part) for part in parts]:
            raise ValueError(f"expected one of {', '.join(map(str, parts))}, got {value!r}")
        if origin is Literal or kind is Any:
            return value
        is_union = origin in {Union, UnionType}
        if is_union and not _SCALARS.issuperset(parts):
            inner = next(part for part in parts if part is not NoneType)
            return None if value is None else self._read(value, inner, path)
        return self._read_scalar(value, parts if is_union else (origin or kind,))

    def _read_scalar(self, value: Any, kinds: tuple[Any, ...]) -> Any:
        kind = _kind_of(value)
        if kind not in kinds and not (float in kinds and kind is int):
            names = " or ".join(getattr(each, "__name__", str(each)) for each in kinds if each is not NoneType)
            raise TypeError(f"expected {names}, got {value!r}")
        if kind in {int, float}:
            check_number("", value)
            return value if kind in kinds else float(value)
        return self.read_text(value) if kind is str else value

    def _read_options(self, value: Any, kind: Any, path: str) -> Any:
        """Return the object of an attrs class. The validators of all its valid options are called; attrs calls one."""
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a table, got {value!r}")
        fields = {field.name: field for field in attrs.fields(attrs.resolve_types(kind)) if field.init}
        values: dict[str, Any] = {}
        before = len(self.problems)
        for name, field in fields.items():
            if name in value:
                count = len(self.problems)
                taken = self.read_option(value[name], field, f"{path}.{name}")
                if len(self.problems) == count:
                    values[name] = taken
            elif field.default is attrs.NOTHING:
                self.problems.append(f"{path}.{name}: expected a value, got nothing")
        expected = f"one of {', '.join(sorted(fields))}" if fields else "no key"
        unknown = sorted(value.keys() - fields.keys())
        self.problems += [f"{path}: unknown key {key!r}, expected {expected}" for key in unknown]
        broken: Exception | None = None
        if len(self.problems) == before:
            try:
                return kind(**{fields[name].alias: taken for name, taken in values.items()})
            except Exception as error:  # noqa: BLE001 validators may be a plugin's
                broken = error
        rules = list(_broken_rules(kind, fields.values(), values))
        for rule in [broken] if broken is not None and not rules else rules:
            self._add(path, rule)
        return None


def _kind_of(value: Any) -> type:
    return str if type(value) is Filled else type(value)


def _broken_rules(kind: Any, fields: Iterable[attrs.Attribute[Any]], values: Mapping[str, Any]) -> Iterator[Exception]:
    """Yield the errors of the validators of *kind* for the *values* of its fields, of which some may be missing."""
    stand_in = object.__new__(kind)
    for field in fields:
        found: Any = field.default
        with suppress(Exception):  # a default of others, which may be missing
            if isinstance(found, attrs.Factory):  # type: ignore[arg-type]
                found = found.factory(stand_in) if found.takes_self else found.factory()
        object.__setattr__(stand_in, field.name, values.get(field.name, found))
    is_whole = all(getattr(stand_in, field.name) is not attrs.NOTHING for field in fields)
    for field in fields:
        if field.name in values and field.validator is not None:
            try:
                field.validator(stand_in, field, values[field.name])
            except ValueError as error:
                yield error
            except Exception as error:  # noqa: BLE001 a validator may read options that are missing, each a problem
                if is_whole:
                    yield error
