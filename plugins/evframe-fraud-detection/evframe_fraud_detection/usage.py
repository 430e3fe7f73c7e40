"""Usage: the counters of each user and prefix, and which limit they reach."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import attrs

from evframe_fraud_detection.rules import Rule

_MINUTE_S: Final = 60

Day = tuple[int, int]
"""A year, and a day of it."""


class Verdict(IntEnum):
    """What a check found; true when no limit is reached, with the original's numbers."""

    CRITICAL = -2
    """A critical limit is reached."""
    WARNING = -1
    """A warning limit is reached, and no critical one."""
    FINE = 1
    """No limit is reached."""
    NO_RULE = 2
    """No rule is for this number at this time."""

    def __bool__(self) -> bool:
        return self > 0


@attrs.frozen
class Finding:
    """A limit that is reached."""

    verdict: Verdict
    param: str
    value: int
    threshold: int


def judge(measures: tuple[tuple[str, int, int, int], ...]) -> Finding | None:
    """Return the first critical limit that is reached, else the first warning one.

    Args:
        measures: name, value, warning and critical limit of each; a limit of 0 is none.
    """
    for name, value, _, critical in measures:
        if critical and value >= critical:
            return Finding(Verdict.CRITICAL, name, value, critical)
    for name, value, warning, _ in measures:
        if warning and value >= warning:
            return Finding(Verdict.WARNING, name, value, warning)
    return None


def judge_duration(rule: Rule, duration_s: int) -> Finding | None:
    """Return the limit that a call of *duration_s* seconds reaches, if any."""
    return judge((("call-duration", duration_s, rule.call_duration_warning, rule.call_duration_critical),))


class Counter:
    """The calls of one user to numbers with one prefix.

    Everything begins anew when another rule holds than at the last call, and on another day.
    """

    __slots__ = ("_seconds", "concurrent", "day", "interval", "last_number", "rule_id", "sequential", "total")

    def __init__(self) -> None:
        self.rule_id: int | None = None
        self.day: Day = (0, 0)
        self.interval = 0
        """How often it began anew: what was begun before does not count any more."""
        self.total = self.concurrent = self.sequential = 0
        self.last_number: str | None = None
        self._seconds: deque[list[int]] = deque()  # those of the last minute with calls, and how many

    def count(self, rule: Rule, number: str, day: Day, second: int) -> Finding | None:
        """Count a call to *number* and return the limit that is reached, if any.

        Args:
            rule: the rule that holds.
            number: the whole number.
            day: today.
            second: of a clock that never goes back.
        """
        if rule.ruleid != self.rule_id or day != self.day:
            self.rule_id, self.day = rule.ruleid, day
            self.interval += 1
            self.total = self.concurrent = self.sequential = 0
            self._seconds.clear()
        self.sequential = self.sequential + 1 if number == self.last_number else 1
        self.last_number = number
        self.total += 1
        self.concurrent += 1
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([second, 1])
        return judge(
            (
                ("calls-per-minute", self.per_minute(second), rule.cpm_warning, rule.cpm_critical),
                ("total-calls", self.total, rule.total_calls_warning, rule.total_calls_critical),
                ("concurrent-calls", self.concurrent, rule.concurrent_calls_warning, rule.concurrent_calls_critical),
                ("sequential-calls", self.sequential, rule.sequential_calls_warning, rule.sequential_calls_critical),
            )
        )

    def per_minute(self, second: int) -> int:
        """Return the calls of the minute that ends with *second*."""
        while self._seconds and self._seconds[0][0] <= second - _MINUTE_S:
            self._seconds.popleft()
        return sum(count for _, count in self._seconds)

    def end(self, interval: int) -> None:
        """Count the end of a call that was begun in *interval*."""
        if interval == self.interval:
            self.concurrent -= 1


class Usage:
    """The counters of all users, as many as there is room for.

    Args:
        max_counters: the room.
    """

    def __init__(self, max_counters: int) -> None:
        self.most = max_counters
        """The room, from now on."""
        self._counters: OrderedDict[tuple[str, str], Counter] = OrderedDict()  # by their last use
        self.evicted = 0
        """How many left although they had calls of their day."""

    def __len__(self) -> int:
        return len(self._counters)

    def counter(self, user: str, prefix: str, day: Day) -> Counter:
        """Return the counter of *user* and *prefix*, which is used now; *day* is today."""
        key = (user, prefix)
        counter = self._counters.get(key)
        if counter is not None:
            self._counters.move_to_end(key)
            return counter
        while len(self._counters) >= self.most:
            _, oldest = self._counters.popitem(last=False)
            self.evicted += oldest.day == day
        counter = self._counters[key] = Counter()
        return counter

    def forget(self, day: Day, most: int) -> int:
        """Forget counters that were last used on another day than *day*, at most so many; return how many.

        They would begin anew at their next use.
        """
        for done in range(most):
            oldest = next(iter(self._counters.values()), None)
            if oldest is None or oldest.day == day:
                return done
            self._counters.popitem(last=False)
        return most

    def of(self, user: str) -> Iterator[tuple[str, Counter]]:
        """Yield the prefixes of *user* and their counters."""
        return ((prefix, counter) for (name, prefix), counter in self._counters.items() if name == user)
