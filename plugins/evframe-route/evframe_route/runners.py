"""Two ways to hand a batch to a callable in the loop: called at once, or awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from evframe import Batch, Event, depth
from evframe.plugin import comes_from_outside
from evframe_route.calls import Calls
from evframe_route.kept import KeptOutcomes, Outcomes, Persistence

Route = Callable[[Event], Any]
ERROR: Final = "route_error"
TIMEOUT: Final = "timeout"


class Runner(Protocol):
    """Hands batches to one route."""

    def run(self, batch: Batch, calls: Calls) -> Awaitable[None] | bool:
        """Call the route for each event, as *calls* say."""


class InlineRunner:
    """Calls a plain callable in the loop: nothing is faster, and nothing else runs meanwhile."""

    def __init__(self, name: str, route: Route, persistence: Persistence) -> None:
        self._name = name
        self._route = route
        self._persistence = persistence

    def run(self, batch: Batch, calls: Calls) -> Awaitable[None] | bool:
        """Call the route for each event."""
        route = calls.timed(self._name, self._route)
        if not batch.is_kept:
            call_each(route, batch)
            return True
        outcomes = KeptOutcomes(batch, self._persistence)
        call_each(route, outcomes)
        outcomes.end()
        return True


def call_each(route: Route, outcomes: Outcomes) -> None:
    """Call *route* for each event, in the depth of its event."""
    current = -1
    try:
        for index, event in enumerate(outcomes.events):
            if event.depth != current:
                current = event.depth
                depth.set(current + 1)
            try:
                route(event)
            except BaseException as error:  # an error of the route is the outcome
                if comes_from_outside(error):
                    raise
                outcomes.fail(index, ERROR, error)
    finally:
        depth.set(0)


class AsyncRunner:
    """Awaits a coroutine function, one event after the other."""

    def __init__(
        self, name: str, route: Callable[[Event], Coroutine[Any, Any, Any]], timeout_s: float, persistence: Persistence
    ) -> None:
        self._name = name
        self._route = route
        self._timeout_s = timeout_s
        self._persistence = persistence

    async def run(self, batch: Batch, calls: Calls) -> None:
        """Call the route for each event; one that takes too long is cancelled."""
        if not batch.is_kept:
            await self._call_each(batch, calls)
            return
        outcomes = KeptOutcomes(batch, self._persistence)
        await self._call_each(outcomes, calls)
        outcomes.end()

    async def _call_each(self, outcomes: Outcomes, calls: Calls) -> None:
        route = calls.timed_async(self._name, self._route)
        task = asyncio.current_task()
        assert task is not None
        watch = _Watch(task, self._timeout_s)
        try:
            while watch.index < len(outcomes.events):
                try:
                    await _continue(route, outcomes.events, watch)
                except BaseException as error:  # an error of the route is the outcome
                    if watch.expired and isinstance(error, asyncio.CancelledError):
                        watch.expired = False
                        task.uncancel()
                        outcomes.fail(watch.index, TIMEOUT, error)
                    elif comes_from_outside(error):
                        raise  # the batch is cancelled, say, and not something inside the route
                    else:
                        outcomes.fail(watch.index, ERROR, error)
                watch.index += 1
        finally:
            watch.stop()


async def _continue(route: Callable[[Event], Awaitable[Any]], events: Sequence[Event], watch: _Watch) -> None:
    current = -1
    for index in range(watch.index, len(events)):
        watch.index = index
        event = events[index]
        if event.depth != current:
            current = event.depth
            depth.set(current + 1)
        await route(event)


class _Watch:
    """Cancels a task when it has been at the same event for too long.

    One timer for a batch looks four times within the limit, so that an event costs nothing; a
    call is cancelled between one and one and a half limits after it began.
    """

    def __init__(self, task: asyncio.Task[Any], limit_s: float) -> None:
        self.index = 0
        self.expired = False
        self._task = task
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._seen = -1
        self._seen_at = 0.0
        self._timer = self._loop.call_later(limit_s / 4, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if self.index != self._seen:
            self._seen, self._seen_at = self.index, now
        elif now - self._seen_at >= self._limit_s:
            self.expired = True
            self._seen = -1
            self._task.cancel()
        self._timer = self._loop.call_later(self._limit_s / 4, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
