"""The thread of the file, which runs also beside a loop that never waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import Final, TypeVar

_Result = TypeVar("_Result")
_LOOK_S: Final = 0.001
_WAIT_S: Final = 0.001
_WAIT_AT_REST_S: Final = 0.0001
_BUSY: Final = 0.7  # of the time


class Worker:
    """Runs one call after another in a thread.

    CPython's lock changes hands only when its holder has kept it for an interval without a pause. A busy loop pauses
    at the end of each turn, and has the lock again before the thread wakes up, so that a commit of milliseconds would
    take as long as the loop is busy. Hence the loop waits for the thread, for a short time, while both want to run.

    Args:
        name: of the thread.
        clock: returns the time, in seconds.
        used: returns the processor time of the loop's thread, in seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], float] = time.perf_counter,
        used: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._used = clock, used
        self._thread = ThreadPoolExecutor(1, name)
        self._has_paused = Event()  # the thread waits for the disk, or has ended what it had to do
        self._under_way = 0
        self._is_looking = False  # a look is due
        self._looked = self._had_used = 0.0

    def run(self, work: Callable[[], _Result], done: Callable[[Future[_Result]], None]) -> None:
        """Call *work* in the thread, then *done* in the loop's; neither once the thread has ended."""
        loop = asyncio.get_running_loop()

        def run() -> _Result:
            self._has_paused.clear()
            try:
                return work()
            finally:
                self._has_paused.set()

        def over(future: Future[_Result]) -> None:
            self._under_way -= 1
            done(future)

        def over_soon(future: Future[_Result]) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(over, future)

        try:
            future = self._thread.submit(run)
        except RuntimeError:  # `close` was called, and what was under way then has called for more
            return
        self._under_way += 1
        if not self._is_looking:
            self._look_later(loop)
        future.add_done_callback(over_soon)

    def rest(self) -> None:
        """Say, in the thread, that what follows takes its time without the lock: the loop need not wait for it."""
        self._has_paused.set()

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_looking = True
        self._looked, self._had_used = self._clock(), self._used()
        loop.call_later(_LOOK_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the thread, if the loop has used most of the time since the last look."""
        self._is_looking = False
        if not self._under_way:
            return
        passed = self._clock() - self._looked
        if self._used() - self._had_used > _BUSY * passed:
            if self._has_paused.is_set():
                time.sleep(_WAIT_AT_REST_S)
            else:
                self._has_paused.wait(_WAIT_S)
        self._look_later(loop)

    def close(self) -> None:
        """End the thread, after the work that was begun."""
        self._thread.shutdown(wait=True)
