"""How routes are called: measured, and in the contexts of their events where a plugin keeps contexts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from evframe import Event
from evframe.plugin import CallLimit

Call = Callable[[Event], Any]
AsyncCall = Callable[[Event], Awaitable[Any]]


class Calls(Protocol):
    """Returns what is called for each event in place of a route, such as `CallLimit`, which measures the calls."""

    def timed(self, name: str, call: Call) -> Call:
        """Return what is called in place of a plain callable."""

    def timed_async(self, name: str, call: AsyncCall) -> AsyncCall:
        """Return what is called in place of a coroutine function."""


class ContextCalls:
    """Calls routes in the contexts of their events.

    Args:
        limit: measures the calls.
        within: returns what runs a block in the context of an event; see `Raising.tracing`.
    """

    def __init__(self, limit: CallLimit, within: Callable[[Any], AbstractContextManager[Any]]) -> None:
        self._limit = limit
        self._within = within

    def timed(self, name: str, call: Call) -> Call:
        """Return *call*, measured and in the context of each event."""
        call, within = self._limit.timed(name, call), self._within

        def traced(event: Event) -> None:
            with within(event.carried):
                call(event)

        return traced

    def timed_async(self, name: str, call: AsyncCall) -> AsyncCall:
        """Return *call*, measured and in the context of each event."""
        call, within = self._limit.timed_async(name, call), self._within

        async def traced(event: Event) -> None:
            with within(event.carried):
                await call(event)

        return traced
