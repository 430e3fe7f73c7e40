"""The greatest age of a connection, so that new or rebalanced peers behind an address get their share of events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

_EARLIEST: Final = 0.9


class Age:
    """The timer that exchanges the current connection at its greatest age."""

    __slots__ = ("_timer",)

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def begins(self, most_s: float, leave: Callable[[], None]) -> None:
        """Call *leave*, on the running loop, when the connection that begins now reaches its greatest age.

        Args:
            most_s: the greatest age in seconds; 0 for none. It is reached within the last tenth of that time, so that
                connections which began together do not end together.
            leave: exchanges the connection without losing an event.
        """
        self.ends()
        if most_s:
            after_s = most_s * random.uniform(_EARLIEST, 1.0)  # noqa: S311 jitter, not a secret
            self._timer = asyncio.get_running_loop().call_later(after_s, leave)

    def ends(self) -> None:
        """Cancel the call of *leave*: the connection has ended, or is not used any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
