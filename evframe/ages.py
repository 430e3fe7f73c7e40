"""The greatest age of a connection: peers that are replaced or rebalanced behind an address get their share again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

_EARLIEST: Final = 0.9


def leave_later(most_s: float, leave: Callable[[], None]) -> asyncio.TimerHandle | None:
    """Call *leave* when a connection that begins now has its greatest age, on the running loop.

    Args:
        most_s: the greatest age in seconds; 0 for none. It is reached within the last tenth of that time, so that
            connections which began together do not end together.
        leave: exchanges the connection, losing nothing.

    Returns:
        The timer, which has to be cancelled when the connection ends before; None without a greatest age.
    """
    if not most_s:
        return None
    after_s = most_s * random.uniform(_EARLIEST, 1.0)  # noqa: S311 jitter, not a secret
    return asyncio.get_running_loop().call_later(after_s, leave)
