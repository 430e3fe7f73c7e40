"""Times of a time zone: what a suffix is at a time, and when the next period begins."""

from __future__ import annotations

import math
import re
import time
from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_SECONDS: Final = re.compile(r"%([%s])")


def zone_of(name: str | None) -> ZoneInfo | None:
    """Return the time zone called *name*; None for the machine's own.

    Raises:
        ValueError: if the machine knows no zone of that name.
    """
    try:
        return None if name is None else ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        raise ValueError(f"expected the name of a time zone such as 'Europe/Berlin', got {name!r}") from None


def suffix_at(suffix: str, at: float, zone: tzinfo | None) -> str:
    """Return what the strftime format *suffix* is at the Unix time *at*."""
    if zone is None:
        return time.strftime(suffix, time.localtime(at))
    # The C library would take the wall time of another zone for that of the machine's.
    suffix = _SECONDS.sub(lambda found: "%%" if found[1] == "%" else str(int(at)), suffix)
    return datetime.fromtimestamp(at, zone).strftime(suffix)


def file_name(path: str, suffix: str | None, at: float, zone: tzinfo | None) -> str:
    """Return the name of the file that *path* stands for at the Unix time *at*."""
    return path if suffix is None else path + suffix_at(suffix, at, zone)


def wall_s(at: float, zone: tzinfo | None) -> int:
    """Return the Unix time *at* with the offset of *zone* added, as if the wall clock were that of UTC."""
    start = int(at)
    if zone is None:
        return start + time.localtime(start).tm_gmtoff
    offset = datetime.fromtimestamp(start, zone).utcoffset()
    assert offset is not None
    return start + int(offset.total_seconds())


class Periods:
    """The periods that a clock on the wall divides its time into.

    Args:
        period_s: how long one is; a multiple of days begins at midnight.
        zone: the time zone of the clock; None for the machine's own.
    """

    def __init__(self, period_s: int, zone: tzinfo | None) -> None:
        self._period_s = period_s
        self._zone = zone

    def number(self, at: float) -> int:
        """Return which period the Unix time *at* is in."""
        return wall_s(at, self._zone) // self._period_s

    def next_look(self, at: float) -> int:
        """Return the first Unix time after *at* that may be in another period: its beginning, or when the clock is set.

        A day on which the clock is set has 23 or 25 hours, and so the end of the day is not counted from *at* on.
        """
        start = int(at)
        shift = wall_s(start, self._zone) - start
        end = start + self._period_s - (start + shift) % self._period_s
        if wall_s(end, self._zone) - end == shift:
            return end
        before, after = start, end
        while after - before > 1:
            middle = (before + after) // 2
            if wall_s(middle, self._zone) - middle == shift:
                before = middle
            else:
                after = middle
        return after


class CurrentPeriod:
    """The period in which a file was opened.

    Args:
        period_s: how long one is.
        zone: the time zone of the clock; None for the machine's own.
    """

    def __init__(self, period_s: int, zone: tzinfo | None) -> None:
        self._periods = Periods(period_s, zone)
        self._number: int | None = None
        self._within = 0.0, math.inf  # while the clock is between, the period need not be computed

    def begin(self, now: float) -> None:
        """Make the period of the Unix time *now* the current one."""
        self._number = self._periods.number(now)
        self._within = now, self._periods.next_look(now)

    def is_over(self, now: float) -> bool:
        """Return whether another period than the current one has begun."""
        if self._number is None or self._within[0] <= now < self._within[1]:
            return False
        if self._number != self._periods.number(now):
            return True
        self._within = now, self._periods.next_look(now)
        return False
