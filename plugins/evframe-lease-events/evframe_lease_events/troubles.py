"""Which subscribers fail, and which of those work again for long enough to say so."""

from __future__ import annotations

import math
from itertools import islice
from typing import Final

_MOST: Final = 10_000  # no hook is called for members of others that fail and are gone


class Troubles:
    """Subscribers, each by its canonical socket, that fail or did a moment ago.

    Args:
        settle_s: how long a subscriber has to work before it has recovered.
    """

    def __init__(self, settle_s: float) -> None:
        self.settle_s = settle_s
        """How long it is from now on."""
        self._failing: dict[str, None] = {}
        self._working: dict[str, float] = {}  # since when, the longest first

    def __len__(self) -> int:
        return len(self._failing) + len(self._working)

    @property
    def next_at(self) -> float:
        """When `recovered` has something to return; infinity when no subscriber works again."""
        return next(iter(self._working.values()), math.inf) + self.settle_s

    def fails(self, socket: str) -> bool:
        """Record that a subscriber fails; return whether that is new."""
        known = self._working.pop(socket, None) is not None or socket in self._failing
        self._failing[socket] = None
        if len(self._failing) > _MOST:
            del self._failing[next(iter(self._failing))]
        return not known

    def works(self, socket: str, now: float) -> None:
        """Record that a subscriber that failed works again."""
        if socket in self._failing:
            del self._failing[socket]
            self._working[socket] = now

    def forget(self, socket: str) -> None:
        """Record that a subscriber is gone."""
        self._failing.pop(socket, None)
        self._working.pop(socket, None)

    def recovered(self, now: float, most: int) -> list[str]:
        """Return up to *most* subscribers that have worked for long enough, each once."""
        found = [socket for socket, since in islice(self._working.items(), most) if since + self.settle_s <= now]
        for socket in found:
            del self._working[socket]
        return found

    def clear(self) -> None:
        """Forget all of them."""
        self._failing.clear()
        self._working.clear()
