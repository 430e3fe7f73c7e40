"""What comes and goes over one management interface."""

from __future__ import annotations

import logging
import time
from typing import Final

from evframe.management.commands import Command

_PERIOD_S: Final = 10.0


class Traffic:
    """Counts by name, and says what goes wrong at most once every ten seconds.

    Args:
        module: whose command ``module:counters`` tells the counts.
        names: what is counted.
    """

    def __init__(self, module: str, *names: str) -> None:
        self.counts = dict.fromkeys(names, 0)
        """How often each thing has happened."""
        self.command = Command(
            f"{module}:counters", ((),), lambda _: dict(self.counts), "counts the requests and what became of them"
        )
        self._log = logging.getLogger(f"evframe.{module.replace('_', '-')}")
        self._next: dict[str, float] = {}

    def count(self, name: str, number: int = 1) -> None:
        """Count *name*."""
        self.counts[name] += number

    def warn(self, sentence: str, **extra: object) -> None:
        """Say *sentence*, unless it was said a moment ago."""
        now = time.monotonic()
        if self._next.get(sentence, 0.0) <= now:
            self._next[sentence] = now + _PERIOD_S
            self._log.warning(sentence, extra=extra)
