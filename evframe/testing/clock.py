"""A clock that stands still until a test advances it."""

from __future__ import annotations


class FakeClock:
    """Stands in for `time.monotonic` and `time.time`: call it for the time, in seconds."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds
