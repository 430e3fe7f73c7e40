"""A clock that stands still until it is told to go on."""

from __future__ import annotations


class FakeClock:
    """Stands in for `time.monotonic` and `time.time`: call it for the time, in seconds."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Go on."""
        self.now += seconds
