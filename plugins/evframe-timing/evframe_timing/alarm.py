"""One timer of the loop for many times."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import Context
from typing import Final

_LONGEST_S: Final = 3600.0  # the times may be those of another clock than the loop's


class Alarm:
    """Rings at the earliest of the times that it was set to since it rang last.

    Args:
        ring: called on the loop; it sets the alarm again if more is to come.
        context: in which *ring* is called.
    """

    __slots__ = ("_at", "_context", "_loop", "_ring", "_timer")

    def __init__(self, ring: Callable[[], None], context: Context | None = None) -> None:
        self._ring = ring
        self._context = context
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._at = math.inf

    @property
    def is_started(self) -> bool:
        """Whether the alarm can ring."""
        return self._loop is not None

    def start(self, *, rings: bool = True) -> None:
        """Ring on the running loop; first in its next turn with *rings*: there may be something to do already."""
        self._loop = asyncio.get_running_loop()
        if rings:
            self.set(0.0)

    def set(self, in_s: float) -> None:
        """Ring in *in_s* seconds, in an hour at the latest, unless the alarm is set to an earlier time."""
        if self._loop is None:
            return
        at = self._loop.time() + min(max(0.0, in_s), _LONGEST_S)
        if at >= self._at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_at(at, self._on_time, context=self._context)

    def _on_time(self) -> None:
        self._timer, self._at = None, math.inf
        self._ring()

    def stop(self) -> None:
        """Ring no more."""
        self._loop, self._at = None, math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
