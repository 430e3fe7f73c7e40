"""The order of requests: clients take turns, one step each, and the loop serves other work in between."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable
from functools import partial
from typing import Any, Final, TypeVar

TURN_S: Final = 0.005
"""How long steps may take in one turn of the loop."""
_Result = TypeVar("_Result")
Steps = Generator[asyncio.Future[Any] | None, None, bytes | None]
"""The steps of a request. A step that yields a future is followed by the next one when the future is done."""


class _Work:
    """A request: its steps, None while they are prepared, and the future of their result."""

    __slots__ = ("future", "steps")

    def __init__(self, steps: Steps | None, future: asyncio.Future[bytes | None]) -> None:
        self.steps = steps
        self.future = future


class Turns:
    """Runs the steps of requests: the requests of one client in order, and the clients in turns.

    A client with a thousand requests does not delay others: after each of its steps, another client has a step.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[Hashable, deque[_Work]] = {}
        self._parked: dict[Hashable, deque[_Work]] = {}  # of clients whose next step waits for a future
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._is_due = False
        # The steps run in no context of a client.
        self._context = contextvars.Context()

    def __len__(self) -> int:
        return sum(map(len, (*self._waiting.values(), *self._parked.values())))

    def put(self, client: Hashable, steps: Steps | asyncio.Future[Steps]) -> asyncio.Future[bytes | None]:
        """Run *steps* when *client* has its turn, and return the future of their result.

        While steps are being prepared, the later requests of the client wait.
        """
        loop = self._running_loop()
        future: asyncio.Future[bytes | None] = loop.create_future()
        work = _Work(None if isinstance(steps, asyncio.Future) else steps, future)
        queue = self._parked[client] if client in self._parked else self._waiting.setdefault(client, deque())
        queue.append(work)
        if isinstance(steps, asyncio.Future):
            steps.add_done_callback(partial(self._prepared, client, work))
        self._schedule(loop)
        return future

    def _prepared(self, client: Hashable, work: _Work, prepared: asyncio.Future[Steps]) -> None:
        if prepared.cancelled():
            work.future.cancel()
        work.steps = _begun(prepared)
        self._unpark(client)

    def _unpark(self, client: Hashable, _: asyncio.Future[Any] | None = None) -> None:
        queue = self._parked.pop(client, None)
        if queue is not None:
            self._waiting[client] = queue
            self._schedule(self._running_loop())

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._run, context=self._context)

    async def aside(self, work: Callable[[], _Result]) -> _Result:
        """Return the result of *work*, which runs on a thread beside the loop, one work at a time."""
        self._running_loop()
        async with self._lock:
            return await asyncio.to_thread(work)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._is_due = loop, False
            self._lock = asyncio.Lock()
            self._waiting.clear()  # these requests waited on a loop that has ended
            self._parked.clear()
        return loop

    def _run(self) -> None:
        """Run the turns of clients; the client that has waited longest is first."""
        self._is_due = False
        until = self._clock() + TURN_S
        while self._waiting:
            client = next(iter(self._waiting))
            queue = self._waiting.pop(client)
            if queue[0].steps is None:
                self._parked[client] = queue
                continue
            later = self._step(queue[0].steps, queue)
            if later is not None:
                self._parked[client] = queue
                later.add_done_callback(partial(self._unpark, client), context=self._context)
            elif queue:
                self._waiting[client] = queue  # behind the other clients
            if self._clock() >= until:
                break
        if self._waiting and self._loop is not None:
            self._schedule(self._loop)

    @staticmethod
    def _step(steps: Steps, queue: deque[_Work]) -> asyncio.Future[Any] | None:
        """Run a step of the first request in *queue*; return what the next one waits for."""
        future = queue[0].future
        try:
            return next(steps)
        except StopIteration as end:
            queue.popleft()
            if not future.done():
                future.set_result(end.value)
        except BaseException as error:
            queue.popleft()
            if future.done() or not isinstance(error, Exception):
                raise
            future.set_exception(error)
        return None


def in_context(steps: Steps, context: contextvars.Context) -> Steps:
    """Run each of *steps* in *context*, and return their result."""
    while True:
        try:
            later = context.run(next, steps)
        except StopIteration as end:
            result: bytes | None = end.value
            return result
        yield later


def _begun(prepared: asyncio.Future[Steps]) -> Steps:
    """Run the prepared steps; when the preparation failed, the only step raises its error."""
    return None if prepared.cancelled() else (yield from prepared.result())
