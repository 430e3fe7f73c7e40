"""The times of raises as CloudEvents have them: UTC with milliseconds."""

from __future__ import annotations

import math
import time
from typing import Final

_CHECK_S: Final = 1.0
_SLEWED_MS: Final = 1.0
_ROUNDED_S: Final = 1e-6  # more than what a float of milliseconds since 1970 is rounded by


class Moments:
    """Makes texts of times on the monotonic clock."""

    def __init__(self) -> None:
        self._began_ms = 0.0  # when the monotonic clock was zero, in milliseconds since 1970
        self._check_at = -math.inf  # for later times than this one, the clocks are compared again
        self._second = -1
        self._text = ""

    def of(self, raised_at: float) -> tuple[float, float, str]:
        """Return from when on, and before when, times have the same text, and the text, as RFC 3339 has it.

        Args:
            raised_at: a time on the monotonic clock, in seconds; the bounds may leave it out when it is close to one.
        """
        if raised_at > self._check_at:
            self._check(raised_at)
        began_ms = self._began_ms
        milliseconds = int(raised_at * 1000 + began_ms)
        since, until = (milliseconds - began_ms) / 1000, (milliseconds + 1 - began_ms) / 1000
        return since + _ROUNDED_S, min(until - _ROUNDED_S, self._check_at), self._text_of(milliseconds)

    def _check(self, raised_at: float) -> None:
        """Compare the clocks.

        Another attempt has the same time as the first one, unless the wall clock was set meanwhile.
        """
        self._check_at = raised_at + _CHECK_S
        began_ms = (time.time() - time.monotonic()) * 1000
        if abs(began_ms - self._began_ms) > _SLEWED_MS:
            self._began_ms = began_ms

    def _text_of(self, milliseconds: int) -> str:
        second, rest = divmod(milliseconds, 1000)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{rest:03d}Z"
