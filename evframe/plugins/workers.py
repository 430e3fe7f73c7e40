"""Worker pools of plugins that other plugins can observe and resize, and the time limit of one call."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from evframe.events.event import Event

SlowCall = Callable[[str, "Event", float], None]


class WorkerGroup(Protocol):
    """A pool of workers of one plugin: its kind, its size and its load, and methods that resize it."""

    @property
    def kind(self) -> str:
        """What the workers do, in a word such as ``ROUTE``."""

    @property
    def filter(self) -> str:
        """The part of the work that these workers do; ``none`` for all of it."""

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
        """Stop a worker, once it has finished its current work, and return its number."""


class CallLimit:
    """The time limit of one call of code that handles an event; a slower call is reported.

    Each interface has one limit. A plugin that wants reports sets it in the hook `loaded`. A plugin that
    makes calls passes them through `timed` or `timed_async`, which cost nothing without a limit.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._limit: tuple[float, SlowCall] | None = None

    def set(self, seconds: float, report: SlowCall) -> None:
        """Call *report* after each call that took longer than *seconds*, on the thread of the slow call.

        Args:
            seconds: the limit.
            report: gets the name of the called code, the event and the seconds; it must not raise.
        """
        self._limit = seconds, report

    def clear(self) -> None:
        """Remove the limit, so that slow calls are not reported any more."""
        self._limit = None

    def timed(self, name: str, call: Callable[[Event], Any]) -> Callable[[Event], Any]:
        """Return *call*, measured if there is a limit."""
        limit = self._limit
        if limit is None:
            return call

        def measured(event: Event) -> None:
            with self._measure(*limit, name, event):
                call(event)

        return measured

    def timed_async(self, name: str, call: Callable[[Event], Awaitable[Any]]) -> Callable[[Event], Awaitable[Any]]:
        """Return *call*, measured if there is a limit; the time that *call* waits counts, too."""
        limit = self._limit
        if limit is None:
            return call

        async def measured(event: Event) -> None:
            with self._measure(*limit, name, event):
                await call(event)

        return measured

    @contextmanager
    def _measure(self, seconds: float, report: SlowCall, name: str, event: Event) -> Iterator[None]:
        start = self._clock()
        try:
            yield
        finally:
            elapsed = self._clock() - start
            if elapsed > seconds:
                report(name, event, elapsed)
