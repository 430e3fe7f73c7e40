"""Tokens that come at a rate: how much may be sent now."""

from __future__ import annotations

from typing import Final

_SHORTFALL: Final = 1e-9  # of a token, which a time on the clock may lack because it is rounded


class Bucket:
    """Tokens that come at a rate, of which at most *burst* are kept: in t seconds, rate * t + burst can be spent.

    Args:
        rate: tokens a second.
        burst: how many there are at most.
        now: the time on a monotonic clock, in seconds.
        tokens: how many there are at the beginning; *burst* when left out.
    """

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float, tokens: float | None = None) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst if tokens is None else tokens)
        self._at = now

    def configure(self, rate: float, burst: float, now: float) -> None:
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

    def seconds_until(self, wanted: float) -> float:
        """Return the seconds until there are *wanted* tokens, which are at most *burst*."""
        return max(0.0, min(float(self.burst), wanted) - self._tokens) / self.rate
