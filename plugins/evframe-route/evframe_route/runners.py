"""Three ways to hand a batch to a callable: awaited, on a thread of its own, or in the loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from evframe import Batch, Event, Unavailable, depth

Route = Callable[[Event], Any]
ERROR: Final = "route_error"
TIMEOUT: Final = "timeout"


class InlineRunner:
    """Calls a plain callable in the loop: nothing is faster, and nothing else runs meanwhile."""

    def __init__(self, route: Route) -> None:
        self._route = route

    def run(self, batch: Batch) -> Awaitable[None] | bool:
        """Call the route for each event."""
        call_each(self._route, batch)
        return True

    def close(self) -> None:
        """Nothing is kept."""


def call_each(route: Route, batch: Batch) -> None:
    """Call *route* for each event of *batch*, in the depth of its event."""
    current = -1
    try:
        for index, event in enumerate(batch.events):
            if event.depth != current:
                current = event.depth
                depth.set(current + 1)
            try:
                route(event)
            except Exception as error:  # noqa: BLE001 an error of the route is the outcome
                batch.fail(index, ERROR, error)
    finally:
        depth.set(0)


class AsyncRunner:
    """Awaits a coroutine function, one event after the other."""

    def __init__(self, route: Callable[[Event], Coroutine[Any, Any, Any]], timeout_s: float) -> None:
        self._route = route
        self._timeout_s = timeout_s

    async def run(self, batch: Batch) -> None:
        """Call the route for each event; one that takes too long is cancelled."""
        task = asyncio.current_task()
        assert task is not None
        watch = _Watch(task, self._timeout_s)
        try:
            while watch.index < len(batch.events):
                try:
                    await self._go_on(batch.events, watch)
                except asyncio.CancelledError as error:
                    if watch.expired:
                        watch.expired = False
                        task.uncancel()
                        batch.fail(watch.index, TIMEOUT, error)
                    elif task.cancelling():
                        raise  # it is the batch that is cancelled, not something inside the route
                    else:
                        batch.fail(watch.index, ERROR, error)
                except Exception as error:  # noqa: BLE001 an error of the route is the outcome
                    batch.fail(watch.index, ERROR, error)
                watch.index += 1
        finally:
            watch.stop()

    async def _go_on(self, events: Sequence[Event], watch: _Watch) -> None:
        route = self._route
        current = -1
        for index in range(watch.index, len(events)):
            watch.index = index
            event = events[index]
            if event.depth != current:
                current = event.depth
                depth.set(current + 1)
            await route(event)

    def close(self) -> None:
        """Nothing is kept."""


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


class _Call:
    """A batch on its way through a thread."""

    def __init__(self, batch: Batch, loop: asyncio.AbstractEventLoop) -> None:
        self.batch = batch
        self.loop = loop
        self.over = loop.create_future()
        self.index = 0
        self.given_up = False

    def tell(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


class ThreadRunner:
    """Calls a plain callable on a thread that belongs to its route, so that it may block."""

    def __init__(self, name: str, route: Route, timeout_s: float) -> None:
        self._name = name
        self._route = route
        self._timeout_s = timeout_s
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._current: _Call | None = None

    async def run(self, batch: Batch) -> None:
        """Have the route called for each event; when a call takes too long, go on after it has ended."""
        if self._current is not None and not self._current.over.done():
            raise Unavailable("route_busy")
        if self._thread is None:
            # A daemon, so that a route that never returns does not keep the process.
            self._thread = threading.Thread(target=self._work, name=f"route:{self._name}", daemon=True)
            self._thread.start()
        call = self._current = _Call(batch, asyncio.get_running_loop())
        self._calls.put(call)
        try:
            await self._watch(call)
        except asyncio.CancelledError:
            call.given_up = True
            raise

    async def _watch(self, call: _Call) -> None:
        seen = -1
        while True:
            await asyncio.wait([call.over], timeout=self._timeout_s)
            if call.over.done():
                return
            if call.index == seen:
                call.given_up = True
                call.batch.fail(seen, TIMEOUT)
                raise Unavailable("route_busy", done=seen + 1)
            seen = call.index

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            self._call_each(call)
            call.tell()

    def _call_each(self, call: _Call) -> None:
        for index, event in enumerate(call.batch.events):
            if call.given_up:
                return
            call.index = index
            depth.set(event.depth + 1)
            try:
                self._route(event)
            except Exception as error:  # noqa: BLE001 an error of the route is the outcome
                if not call.given_up:
                    call.batch.fail(index, ERROR, error)

    def close(self) -> None:
        """End the thread after the call under way."""
        if self._thread is not None:
            self._thread = None
            self._calls.put(None)
