"""The greatest age of a connection: peers that are replaced or rebalanced behind an address get their share again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

_EARLIEST: Final = 0.9


class Age:
    """The age of the connection that is used now, if it has a greatest one."""

    __slots__ = ("_timer",)

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def begins(self, most_s: float, leave: Callable[[], None]) -> None:
        """Call *leave* when the connection that begins now has its greatest age, on the running loop.

        Args:
            most_s: the greatest age in seconds; 0 for none. It is reached within the last tenth of that time, so that
                connections which began together do not end together.
            leave: exchanges the connection, losing nothing.
        """
        self.ends()
        if most_s:
            after_s = most_s * random.uniform(_EARLIEST, 1.0)  # noqa: S311 jitter, not a secret
            self._timer = asyncio.get_running_loop().call_later(after_s, leave)

    def ends(self) -> None:
        """Call nothing: the connection has ended, or is not used any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
