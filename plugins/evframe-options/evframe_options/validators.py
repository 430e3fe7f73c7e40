"""Validators of options; each error begins with the name of the option.

Those that are objects have what they check as attributes, from which `evframe schema config` writes a schema.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from evframe_options.structuring import check_named_number

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


@attrs.frozen
class AtLeast:
    """The validator of an option that is *smallest* or more."""

    smallest: float
    unit: str = ""
    """What the number counts, for the error; empty where the name of the option says it."""

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Validate *value*."""
        check_named_number(attribute.name, value)  # options that were made in Python are not checked before
        if value < self.smallest:
            raise ValueError(f"{attribute.name}: expected {self.smallest} or more{_of(self.unit)}, got {value!r}")


@attrs.frozen
class Above:
    """The validator of an option that is more than *limit*, and at most *largest*."""

    limit: float
    largest: float = math.inf
    unit: str = ""
    """As that of `AtLeast`."""

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Validate *value*."""
        check_named_number(attribute.name, value)
        if not self.limit < value <= self.largest:
            end = "" if self.largest == math.inf else f" and at most {self.largest}"
            raise ValueError(f"{attribute.name}: expected more than {self.limit}{end}{_of(self.unit)}, got {value!r}")


@attrs.frozen
class Within:
    """The validator of an option that is from *smallest* to *largest*."""

    smallest: int
    largest: int
    unit: str = ""
    """As that of `AtLeast`."""

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Validate *value*."""
        if not self.smallest <= value <= self.largest:
            unit = _of(self.unit)
            raise ValueError(f"{attribute.name}: expected {self.smallest} to {self.largest}{unit}, got {value!r}")


@attrs.frozen
class OneOf:
    """The validator of an option that is one of *values*; a Literal is better where the values are texts."""

    values: tuple[Any, ...]

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Validate *value*."""
        if value not in self.values:
            raise ValueError(f"{attribute.name}: expected one of {', '.join(map(repr, self.values))}, got {value!r}")


@attrs.frozen
class Matching:
    """The validator of an option that is a text of the form *pattern*, or None."""

    pattern: str
    """A regular expression for the whole text, of what Python and ECMAScript have in common."""
    expected: str
    """The form in words, for the error."""

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Validate *value*."""
        if value is not None and not re.fullmatch(self.pattern, value):
            raise ValueError(f"{attribute.name}: expected {self.expected}, got {value!r}")


def at_least(smallest: float, unit: str = "") -> AtLeast:
    """Return the validator of an option that is *smallest* or more."""
    return AtLeast(smallest, unit)


def above(limit: float, largest: float = math.inf, unit: str = "") -> Above:
    """Return the validator of an option that is more than *limit*, and at most *largest*."""
    return Above(limit, largest, unit)


def within(smallest: int, largest: int, unit: str = "") -> Within:
    """Return the validator of an option that is from *smallest* to *largest*."""
    return Within(smallest, largest, unit)


def one_of(*values: Any) -> OneOf:
    """Return the validator of an option that is one of *values*."""
    return OneOf(values)


def matching(pattern: str, expected: str) -> Matching:
    """Return the validator of an option that is a text of the form *pattern*, *expected* in words; or None."""
    return Matching(pattern, expected)


def each(is_valid: Callable[[str], bool], expected: str) -> Validator:
    """Return the validator of a list, or None, whose items are *expected*, in words."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: Iterable[str] | None) -> None:
        for item in value or ():
            if not is_valid(item):
                raise ValueError(f"{attribute.name}: expected {expected}, got {item!r}")

    return check


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


are_networks: Final = each(_is_network, "networks such as '10.0.0.0/8'")
"""The validator of a list of networks, or None."""


def _of(unit: str) -> str:
    return unit and f" {unit}"


def are_named_apart(_: Any, attribute: attrs.Attribute[Any], value: Iterable[Any]) -> None:
    """Validate that the tables of an option have different names, compared without their case."""
    seen: set[str] = set()
    for table in value:
        if table.name.casefold() in seen:
            raise ValueError(f"{attribute.name}: expected a name of its own for each, got {table.name!r} twice")
        seen.add(table.name.casefold())


def is_readable(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Validate an option that is the path of a file that can be read, or None."""
    if value is not None and not os.access(value, os.R_OK):
        raise ValueError(f"{attribute.name}: expected a file that can be read, got {value!r}")
