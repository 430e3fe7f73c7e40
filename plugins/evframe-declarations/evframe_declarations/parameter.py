"""One parameter of an event."""

from __future__ import annotations

from typing import Any, Final

import attrs

TYPES: Final = (str, int, float, bool, list, dict)


def _is_known(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in TYPES:
        raise TypeError(f"{attribute.name}: expected str, int, float, bool, list or dict, got {value!r}")


@attrs.frozen
class Parameter:
    """One declared parameter; null fits every type."""

    type: type = attrs.field(validator=_is_known)
    """The type of its values: str, int, float, bool, list or dict."""
    optional: bool = False
    """Whether an event may be without it."""
    summary: str = ""
    """What it means, in a sentence."""


@attrs.frozen
class Field:
    """A field of a class of events."""

    attribute: str
    """Its name in the class."""
    name: str
    """The name of the parameter."""
    parameter: Parameter
    has_default: bool = False
    """Whether an event may be made without a value for it."""
