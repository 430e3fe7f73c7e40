"""The times of raises as CloudEvents have them: UTC with milliseconds."""

from __future__ import annotations

import math
import time
from typing import Final

_CHECK_S: Final = 1.0
_SLEWED_MS: Final = 1.0


class Moments:
    """Makes texts of times on the monotonic clock."""

    def __init__(self) -> None:
        self.began_ms = 0.0
        """When the monotonic clock was zero, in milliseconds since 1970; see `check`."""
        self.check_at = -math.inf
        """For which times on the monotonic clock `check` has to be called, in seconds: for later ones."""
        self._second = -1
        self._text = b""

    def check(self, raised_at: float) -> None:
        """Compare the clocks.

        Another attempt has the same time as the first one, unless the wall clock was set meanwhile.
        """
        self.check_at = raised_at + _CHECK_S
        began_ms = (time.time() - time.monotonic()) * 1000
        if abs(began_ms - self.began_ms) > _SLEWED_MS:
            self.began_ms = began_ms

    def text(self, milliseconds: int) -> bytes:
        """Return a time since 1970 as RFC 3339 has it."""
        second, rest = divmod(milliseconds, 1000)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%03dZ" % (self._text, rest)

    def of(self, raised_at: float) -> bytes:
        """Return the text of a time on the monotonic clock, in seconds."""
        if raised_at > self.check_at:
            self.check(raised_at)
        return self.text(int(raised_at * 1000 + self.began_ms))
