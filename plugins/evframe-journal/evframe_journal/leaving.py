"""The end of the process: what waits is written, in a bounded time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evframe_journal.journal import Journal

_MOST_S: Final = 10.0
_SHARE: Final = 0.8  # of the time that the core waits for the hook `stop`
_LEAST_S: Final = 1.0  # that the core waits
_FAILING_S: Final = 1.0  # of the attempts to use a file that fails
_LOOK_S: Final = 0.005


async def write_all(journal: Journal, timeout_s: float) -> None:
    """Write what waits, and return before the core ends the hook `stop`, because what is left has to be counted.

    Events that are under way then are with another process, which ends meanwhile: their last outcomes are written, too.

    Args:
        journal: that writes.
        timeout_s: the `drain_timeout_s` of the core.
    """
    began = time.monotonic()
    until = began + min(_MOST_S, max(_LEAST_S, timeout_s) * _SHARE)
    while journal.tick(is_last=True) and time.monotonic() < until:
        if journal.is_failing:
            until = min(until, began + _FAILING_S)
        await asyncio.sleep(_LOOK_S)
