"""The third way to hand a batch to a callable: on a worker's thread."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Sized
from contextlib import suppress
from typing import Final

from evframe import Batch, Unavailable, depth
from evframe_route.calls import Calls
from evframe_route.kept import KeptOutcomes, Outcomes, Persistence
from evframe_route.pool import WorkerPool
from evframe_route.runners import ERROR, TIMEOUT, Route

_SLICE_S: Final = 0.01  # a route that has had a worker for so long gives way to one that waits for it


class ThreadRunner:
    """Calls a plain callable on a thread, so that it may block; the workers are those of all routes."""

    def __init__(
        self, name: str, route: Route, timeout_s: float, pool: WorkerPool, *, persistence: Persistence
    ) -> None:
        self._name = name
        self._persistence = persistence
        self._route = route
        self._timeout_s = timeout_s
        self._pool = pool
        self._context: contextvars.Context | None = None
        self._current: _Call | None = None

    async def run(self, batch: Batch, calls: Calls) -> None:
        """Have the route called for each event; when a call takes too long, continue after it has ended."""
        if self._current is not None and not self._current.ended:
            raise Unavailable("route_busy")
        if self._context is None:
            # Its own, so that what a route leaves in it does not reach another one on the same thread.
            self._context = contextvars.copy_context()
        outcomes = KeptOutcomes(batch, self._persistence) if batch.is_kept else None
        call = self._current = _Call(calls.timed(self._name, self._route), outcomes or batch, self._context)
        self._pool.put(call)
        try:
            await self._watch(call, outcomes)
        finally:
            if not call.over.done():
                call.given_up = True
                self._pool.replace(call)
        if call.problem is not None:
            raise call.problem
        if outcomes is not None:
            outcomes.end()

    async def _watch(self, call: _Call, outcomes: KeptOutcomes | None) -> None:
        """Wait for the end; the time in which no worker has the call does not count."""
        seen = -1
        while True:
            await asyncio.wait([call.over], timeout=self._timeout_s)
            if call.over.done():
                return
            if call.running and call.index == seen:
                if outcomes is None:
                    call.outcomes.fail(seen, TIMEOUT)
                else:
                    outcomes.fail_held_up(seen, TIMEOUT)
                raise Unavailable("route_busy", done=seen + 1)
            seen = call.index if call.running else -1


class _Call:
    """A batch on its way through the workers; *index* is the event that it is at."""

    def __init__(self, route: Route, outcomes: Outcomes, context: contextvars.Context) -> None:
        self._route = route
        self._context = context
        self._loop = asyncio.get_running_loop()
        self.outcomes = outcomes
        self.problem: Unavailable | None = None  # that ends the attempt
        self.over = self._loop.create_future()
        self.index = 0
        self.running = False
        self.given_up = False
        self.ended = False

    def run(self, waiting: Sized) -> bool:
        """Call the route for one event after the other; return whether that is all."""
        return self._context.run(self._call_each, waiting)

    def _call_each(self, waiting: Sized) -> bool:
        until = time.monotonic() + _SLICE_S
        outcomes, route = self.outcomes, self._route
        events = outcomes.events
        current = -1
        self.running = True
        for index in range(self.index, len(events)):
            if self.given_up:
                return True
            self.index = index
            if waiting and time.monotonic() > until:
                self.running = False
                return False
            event = events[index]
            if event.depth != current:
                current = event.depth
                depth.set(current + 1)
            try:
                route(event)
            except BaseException as error:  # noqa: BLE001 an error of the route is the outcome, and ends no worker
                try:
                    if not self.given_up:
                        outcomes.fail(index, ERROR, error)
                except Unavailable as problem:
                    self.problem = problem.with_traceback(None)
                    return True
        return True

    def end(self) -> None:
        """Notify the loop that the route has returned."""
        self.ended = True
        with suppress(RuntimeError):  # the loop is closed: no coroutine waits any more
            self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self.over.done():
            self.over.set_result(None)
