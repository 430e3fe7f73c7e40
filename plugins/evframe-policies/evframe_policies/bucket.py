"""The tokens of a subscriber: how many events may be sent now."""

from __future__ import annotations

from math import ceil
from typing import Final

_SLICE_S: Final = 0.01
"""Events that wait for tokens are sent in slices of so many seconds, because each turn has a cost, too."""
_SHORTFALL: Final = 1e-9  # of a token, which a time on the clock may lack because it is rounded


class Bucket:
    """Tokens that come at a rate, of which at most *burst* are kept: in t seconds, rate * t + burst can be spent.

    Args:
        rate: tokens a second.
        burst: how many there are at the beginning, and at most.
        now: the time on a monotonic clock, in seconds.
    """

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._at = now

    def configure(self, rate: float, burst: int, now: float) -> None:
        """Have another rate from now on; what is above the new burst is lost."""
        self.available(now)
        self.rate, self.burst = rate, burst
        self._tokens = min(self._tokens, float(burst))

    def available(self, now: float) -> int:
        """Return how many tokens there are."""
        if now > self._at:
            self._tokens = min(float(self.burst), self._tokens + (now - self._at) * self.rate)
            self._at = now
        return int(self._tokens + _SHORTFALL)

    def spend(self, count: int) -> None:
        """Take out *count* tokens, which there are."""
        self._tokens -= count

    @property
    def full_in_s(self) -> float:
        """The seconds until there are tokens for a slice of events."""
        wanted = min(float(self.burst), max(1.0, self.rate * _SLICE_S))
        return max(0.0, wanted - self._tokens) / self.rate


def burst_of(rate: float, burst: int | None) -> int:
    """Return the burst of a policy: what is left out is the events of one second, and at least one."""
    return max(1, ceil(rate)) if burst is None else burst
