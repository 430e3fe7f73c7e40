"""Rules: what they match, when they hold, and the limits."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from evframe.plugin import at_least

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def minute_of(text: str) -> int:
    """Return the minute of the day that *text* names as ``HH:MM``; ValueError when it does not."""
    found = _HOUR.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a time of the day such as '09:00', got {text!r}")
    return int(found[1]) * 60 + int(found[2])


def days_of(text: str) -> frozenset[int]:
    """Return the days of the week, Monday is 0, that *text* names such as ``Mon-Fri,Sun``; all for no text.

    Raises:
        ValueError: if it names none.
    """
    days: set[int] = set()
    for part in text.lower().split(",") if text.strip() else ("mon-sun",):
        first, _, last = (name.strip() for name in part.partition("-"))
        last = last or (first if "-" not in part else "")
        if first not in DAYS or last not in DAYS:
            raise ValueError(f"expected days such as 'Mon-Fri,Sun', got {text!r}")
        start, length = DAYS.index(first), (DAYS.index(last) - DAYS.index(first)) % 7
        days.update((start + day) % 7 for day in range(length + 1))
    return frozenset(days)


def _hour(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    try:
        minute_of(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


def _days(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    try:
        days_of(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


@attrs.frozen
class Rule:
    """One rule; its fields are the columns of the original's table, and a limit of 0 is none."""

    ruleid: int = attrs.field(validator=at_least(0))
    """Its number, which no other rule has."""
    profileid: int = attrs.field(validator=at_least(0))
    """The profile that it belongs to."""
    prefix: str = ""
    """What the number begins with."""
    start_hour: str = attrs.field(default="00:00", validator=_hour)
    """The first minute of the day in which it holds."""
    end_hour: str = attrs.field(default="23:59", validator=_hour)
    """The last minute in which it holds; one before the first is on the next day."""
    daysoftheweek: str = attrs.field(default="", validator=_days)
    """The days on which it begins to hold, such as ``Mon-Fri,Sun``; every day without."""
    cpm_warning: int = attrs.field(default=0, validator=at_least(0))
    """Calls within a minute."""
    cpm_critical: int = attrs.field(default=0, validator=at_least(0))
    """Calls within a minute."""
    call_duration_warning: int = attrs.field(default=0, validator=at_least(0))
    """Seconds of one call."""
    call_duration_critical: int = attrs.field(default=0, validator=at_least(0))
    """Seconds of one call."""
    total_calls_warning: int = attrs.field(default=0, validator=at_least(0))
    """Calls within a day."""
    total_calls_critical: int = attrs.field(default=0, validator=at_least(0))
    """Calls within a day."""
    concurrent_calls_warning: int = attrs.field(default=0, validator=at_least(0))
    """Calls at the same time."""
    concurrent_calls_critical: int = attrs.field(default=0, validator=at_least(0))
    """Calls at the same time."""
    sequential_calls_warning: int = attrs.field(default=0, validator=at_least(0))
    """Calls to the same number, one after the other."""
    sequential_calls_critical: int = attrs.field(default=0, validator=at_least(0))
    """Calls to the same number, one after the other."""
