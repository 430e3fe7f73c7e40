"""The attempts to use a file that fails: after each failure the next one waits longer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import attrs

from evframe_journal.bounds import Bounds
from evframe_journal.problems import is_full, needs_mending


@attrs.define(kw_only=True, eq=False)
class Attempts:
    """What came of the last attempts."""

    clock: Callable[[], float] = time.monotonic
    """The monotonic clock, in seconds."""
    is_full: bool = attrs.field(default=False, init=False)
    """Whether the last one found no room on the disk."""
    is_broken: bool = attrs.field(default=False, init=False)
    """Whether the file has to be mended."""
    failures: int = attrs.field(default=0, init=False)
    """How many have failed in a row."""
    due: float = attrs.field(default=-math.inf, init=False)
    """When the next one may be made."""

    def succeeded(self) -> None:
        """Note that the file works."""
        self.failures = 0
        self.is_full = False

    def failed(self, error: BaseException, bounds: Bounds) -> None:
        """Wait before the next one; the first one that mends the file follows at once."""
        self.is_broken |= needs_mending(error)
        self.is_full = is_full(error)
        wait_s = min(bounds.retry_s * 2.0 ** min(self.failures, 30), bounds.retry_most_s)
        is_first = self.is_broken and not self.failures
        self.failures += 1
        self.due = self.clock() + (0.0 if is_first else wait_s)
