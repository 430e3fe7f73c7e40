"""Three ways to hand a batch to a callable: awaited, on a thread of its own, or in the loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
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
        route = self._route
        current = -1
        for index, event in enumerate(batch.events):
            if event.depth != current:
                current = event.depth
                depth.set(current + 1)
            work = None
            try:
                work = route(event)
                # Most routes end without waiting; only the others pay for a time limit.
                waits_for = work.send(None)
            except StopIteration:
                continue
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 an error of the route is the outcome
                batch.fail(index, ERROR, error)
                continue
            await self._finish(batch, index, work, waits_for)

    async def _finish(self, batch: Batch, index: int, work: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                await _rest(work, waits_for)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # it is the batch that is cancelled, not something inside the route
            batch.fail(index, ERROR, error)
        except Exception as error:  # noqa: BLE001 as above
            batch.fail(index, TIMEOUT if limit.expired() else ERROR, error)

    def close(self) -> None:
        """Nothing is kept."""


@coroutine
def _rest(work: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, None]:
    """Await what is left of *work*, which waits for *waits_for*."""
    try:
        while True:
            try:
                value = yield waits_for
            except BaseException as error:  # noqa: BLE001 handed to the coroutine
                waits_for = work.throw(error)
            else:
                waits_for = work.send(value)
    except StopIteration:
        return


class _Call:
    """A batch on its way through a thread."""

    def __init__(self, batch: Batch, loop: asyncio.AbstractEventLoop) -> None:
        self.batch = batch
        self.loop = loop
        self.over = loop.create_future()
        self.index = 0
        self.given_up = False

    def tell(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._set)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

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
