"""When a group of workers gets one more or one less."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

import attrs

Step = Literal["up", "down"]
_BLOCKED_WINDOWS: Final = 10  # after one more, so many windows of down-scaling pass before one less


@attrs.frozen
class Profile:
    """Scale up on *up_percent* for *up_cycles* within *up_within*, down on *down_percent* for *down_cycles*.

    With *down_percent* 0 there is no down-scaling.
    """

    up_percent: int
    up_cycles: int
    up_within: int
    down_percent: int = 0
    down_cycles: int = 1


class Scaler:
    """Decides for one group, cycle by cycle, whether it needs another number of workers."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._history: deque[float] = deque(maxlen=max(profile.up_within, profile.down_cycles))
        self._blocked = 0  # for so many cycles

    def cycle(self, load: int, workers: int, bounds: tuple[int, int]) -> Step | None:
        """Take the load of a cycle and return the step to make, if any.

        Args:
            load: the average over the workers, in percent.
            workers: how many there are.
            bounds: the smallest and the largest number of them.
        """
        smallest, largest = bounds
        is_blocked = self._blocked > 0
        self._blocked -= is_blocked
        self._history.append(load)
        if workers < largest and self._is_loaded():
            # What the workers did would have been less for each with one more of them.
            shrunk = [value * workers / (workers + 1) for value in self._history]
            self._history.clear()
            self._history.extend(shrunk)
            self._blocked = _BLOCKED_WINDOWS * self._profile.down_cycles
            return "up"
        if workers > smallest and not is_blocked and self._is_idle(load, workers):
            return "down"
        return None

    def _is_loaded(self) -> bool:
        profile = self._profile
        recent = list(self._history)[-profile.up_within :]
        return sum(value > profile.up_percent for value in recent) >= profile.up_cycles

    def _is_idle(self, load: int, workers: int) -> bool:
        profile = self._profile
        recent = list(self._history)[-profile.down_cycles :]
        if len(recent) < profile.down_cycles or any(value >= profile.down_percent for value in recent):
            return False
        return load * workers / (workers - 1) < profile.up_percent
