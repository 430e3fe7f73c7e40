"""Validators of options; each error begins with the name of the option."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from evframe_options.structuring import check_named_number

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def at_least(smallest: float) -> Validator:
    """Return the validator of an option that is *smallest* or more."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        check_named_number(attribute.name, value)  # options that were made in Python are not checked before
        if value < smallest:
            raise ValueError(f"{attribute.name}: expected {smallest} or more, got {value!r}")

    return check


def above(limit: float, largest: float = math.inf) -> Validator:
    """Return the validator of an option that is more than *limit*, and at most *largest*."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        check_named_number(attribute.name, value)
        if not limit < value <= largest:
            end = "" if largest == math.inf else f" and at most {largest}"
            raise ValueError(f"{attribute.name}: expected more than {limit}{end}, got {value!r}")

    return check


def within(smallest: int, largest: int) -> Validator:
    """Return the validator of an option that is from *smallest* to *largest*."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not smallest <= value <= largest:
            raise ValueError(f"{attribute.name}: expected {smallest} to {largest}, got {value!r}")

    return check


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
