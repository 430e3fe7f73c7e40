"""The workers and the calls of plugins that run code for events: how many, and how long, is for others to say."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from evframe.events.event import Event

Told = Callable[[str, "Event", float], None]


class WorkerGroup(Protocol):
    """What a plugin with workers of its own tells about them, and lets be changed."""

    @property
    def kind(self) -> str:
        """What the workers do, in a word such as ``ROUTE``."""

    @property
    def filter(self) -> str:
        """What part of that they do; ``none`` for all of it."""

    @property
    def size(self) -> int:
        """How many workers there are."""

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest number of workers."""

    def load_percent(self) -> int:
        """Return the part of the workers' time since the last call that was spent working, in percent."""

    def grow(self) -> int:
        """Add a worker and return its number."""

    def shrink(self) -> int:
        """Let a worker go, once it is done with what it does, and return its number."""


class CallLimit:
    """How long one call of code that handles an event may take before somebody is told.

    Each interface has one. Who wants to be told sets it in the hook `loaded`; a plugin that makes
    calls passes them through `timed` or `timed_async`, which cost nothing without a limit.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds = 0.0
        self._told: Told | None = None

    def set(self, seconds: float, told: Told) -> None:
        """Have *told* called after each call that took longer than *seconds*, where the call was made.

        Args:
            seconds: the limit.
            told: gets the name of what was called, the event and the seconds; it must not raise.
        """
        self._seconds = seconds
        self._told = told

    def clear(self) -> None:
        """Have nobody told any more."""
        self._told = None

    def timed(self, name: str, call: Callable[[Event], Any]) -> Callable[[Event], Any]:
        """Return *call*, measured if there is a limit."""
        told, seconds, clock = self._told, self._seconds, self._clock
        if told is None:
            return call

        def measured(event: Event) -> None:
            start = clock()
            try:
                call(event)
            finally:
                elapsed = clock() - start
                if elapsed > seconds:
                    told(name, event, elapsed)

        return measured

    def timed_async(self, name: str, call: Callable[[Event], Awaitable[Any]]) -> Callable[[Event], Awaitable[Any]]:
        """Return *call*, measured if there is a limit; the time in which it waits counts too."""
        told, seconds, clock = self._told, self._seconds, self._clock
        if told is None:
            return call

        async def measured(event: Event) -> None:
            start = clock()
            try:
                await call(event)
            finally:
                elapsed = clock() - start
                if elapsed > seconds:
                    told(name, event, elapsed)

        return measured
