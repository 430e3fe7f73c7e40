"""The load of the process: the part of the time in which the process computes, in percent."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

SAMPLE_S: Final = 1.0
_LONGEST_S: Final = 600.0
_PERIODS: Final = {"load": SAMPLE_S, "load1m": 60.0, "load10m": _LONGEST_S}


class Load:
    """Compares the processor time of the process with the time that has passed.

    Args:
        clock: monotonic, in seconds.
        used: the processor time of all threads, in seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._used = used
        self._samples = deque([(clock(), used())], maxlen=int(_LONGEST_S / SAMPLE_S) + 1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take a sample each second, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self.sample()

    def sample(self) -> None:
        """Store the processor time used until now."""
        self._samples.append((self._clock(), self._used()))
        if self._loop is not None:
            self._timer = self._loop.call_later(SAMPLE_S, self.sample)

    def stop(self) -> None:
        """Take no more samples."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def statistics(self) -> Mapping[str, int]:
        """Return the load over the last second, minute and ten minutes, under the names of OpenSIPS."""
        now, used = self._clock(), self._used()
        found: dict[str, int] = {}
        for name, seconds in _PERIODS.items():
            percent = self._percent(now, used, seconds)
            # The single process is the core, all processes together, and process number 0.
            found |= dict.fromkeys((name, f"{name}-all", f"{name}-proc-0"), percent)
        return found

    def _percent(self, now: float, used: float, seconds: float) -> int:
        first = self._samples[0]
        since, before = next((each for each in reversed(self._samples) if each[0] <= now - seconds), first)
        return min(100, round(100 * (used - before) / (now - since))) if now > since else 0
