"""The validator of an option that names an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evframe.events.event import check_name

if TYPE_CHECKING:
    import attrs


def is_event_name(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Validate an option that is the name of an event, or None."""
    try:
        if value is not None:
            check_name(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None
