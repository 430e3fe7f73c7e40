"""The rate limiter of log lines that repeat."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Final

PERIOD_S: Final = 10.0


class LogLimiter:
    """Allows one line for each key in *period_s* seconds, and counts the lines that it holds back; from any thread.

    ::

        limiter.log(socket, log.warning, "a request was refused", socket=socket)

    Args:
        period_s: seconds between two lines of one key.
        most: how many keys are remembered; beyond that, the key whose last line is the oldest is forgotten.
        clock: a monotonic clock, in seconds.
    """

    __slots__ = ("_clock", "_lock", "_logged", "_most", "_period_s")

    def __init__(
        self, period_s: float = PERIOD_S, *, most: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._period_s = period_s
        self._most = most
        self._clock = clock
        self._lock = Lock()
        # By key: the time of its last line, and how many were held back since.
        self._logged: dict[Hashable, tuple[float, int]] = {}

    def due(self, key: Hashable) -> int | None:
        """Return how many lines of *key* were held back since its last one, or None to hold this line back, too."""
        now = self._clock()
        with self._lock:
            logged = self._logged.get(key)
            if logged is None:
                if len(self._logged) >= self._most:
                    del self._logged[next(iter(self._logged))]
                self._logged[key] = now, 0
                return 0
            at, repeated = logged
            if now < at + self._period_s:
                self._logged[key] = at, repeated + 1
                return None
            del self._logged[key]  # inserted again below, so that the keys stay ordered by their last lines
            self._logged[key] = now, 0
            return repeated

    def log(self, key: Hashable, write: Callable[..., object], message: str, /, **extra: object) -> None:
        """Write a line of *key*, or hold it back.

        Args:
            key: of the line.
            write: a method of a logger, such as `warning`.
            message: what the line says.
            extra: what it has besides; `repeated` is added, with the number that `due` returns.
        """
        repeated = self.due(key)
        if repeated is not None:
            write(message, extra={**extra, "repeated": repeated}, stacklevel=2)

    def __len__(self) -> int:
        return len(self._logged)

    def forget(self, key: Hashable) -> None:
        """Allow the next line of *key* at once."""
        with self._lock:
            self._logged.pop(key, None)
