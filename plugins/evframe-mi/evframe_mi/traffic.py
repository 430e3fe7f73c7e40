"""The counters of the traffic over one management interface."""

from __future__ import annotations

import logging

from evframe.plugin import Command, LogLimiter, StatisticGroup


class Traffic:
    """Counts requests and problems by name, and logs each problem at most once every ten seconds.

    Args:
        module: the module whose command ``module:counters`` shows the counts.
        names: the names of the counters.
    """

    def __init__(self, module: str, *names: str) -> None:
        self.counts = dict.fromkeys(names, 0)
        """The number of each counter, by its name."""
        self._module = module
        self.command = Command(
            f"{module}:counters", ((),), lambda _: dict(self.counts), "counts the requests and their outcomes"
        )
        self._log = logging.getLogger(f"evframe.{module.replace('_', '-')}")
        self._limiter = LogLimiter()

    @property
    def statistics(self) -> StatisticGroup:
        """The counts in the form of the hook `statistics`."""
        return StatisticGroup(self._module, self.counts)

    def count(self, name: str, number: int = 1) -> None:
        """Add *number* to the counter *name*."""
        self.counts[name] += number

    def warn(self, sentence: str, **extra: object) -> None:
        """Log *sentence*, unless it was logged a moment ago."""
        repeated = self._limiter.due(sentence)
        if repeated is not None:
            self._log.warning(sentence, extra=extra | {"repeated": repeated})
