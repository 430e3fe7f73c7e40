"""Whose request is next: clients take turns, a step each, and the loop serves others in between."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable
from typing import Final, TypeVar

TURN_S: Final = 0.005
"""How long steps may take in one turn of the loop."""
_Result = TypeVar("_Result")
Steps = Generator[None, None, bytes | None]
_Work = tuple[Steps, "asyncio.Future[bytes | None]"]


class Turns:
    """Runs the steps of requests: those of one client in order, and the clients by turns.

    A client with a thousand requests waits for itself: another one's step comes after each of its steps.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[Hashable, deque[_Work]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._is_due = False
        # The steps run in no context of a client.
        self._context = contextvars.Context()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, client: Hashable, steps: Steps) -> asyncio.Future[bytes | None]:
        """Run *steps* when it is the turn of *client*, and return the future of what they return."""
        loop = self._running_loop()
        future: asyncio.Future[bytes | None] = loop.create_future()
        self._waiting.setdefault(client, deque()).append((steps, future))
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._run, context=self._context)
        return future

    async def aside(self, work: Callable[[], _Result]) -> _Result:
        """Return what *work* returns, which runs on a thread beside the loop, one at a time."""
        self._running_loop()
        async with self._lock:
            return await asyncio.to_thread(work)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._is_due = loop, False
            self._lock = asyncio.Lock()
            self._waiting.clear()  # what waited on a loop that has ended
        return loop

    def _run(self) -> None:
        """Let clients take their turns, the one that has waited longest first."""
        self._is_due = False
        until = self._clock() + TURN_S
        while self._waiting:
            client = next(iter(self._waiting))
            queue = self._waiting.pop(client)
            self._step(queue)
            if queue:
                self._waiting[client] = queue  # behind the others
            if self._clock() >= until:
                break
        if self._waiting and self._loop is not None and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._run, context=self._context)

    @staticmethod
    def _step(queue: deque[_Work]) -> None:
        steps, future = queue[0]
        try:
            next(steps)
        except StopIteration as end:
            queue.popleft()
            if not future.done():
                future.set_result(end.value)
        except BaseException as error:
            queue.popleft()
            if future.done() or not isinstance(error, Exception):
                raise
            future.set_exception(error)
