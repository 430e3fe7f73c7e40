"""The event loop of callers that block: one for the process, on a daemon thread that the first of them starts."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any, Final, Generic, TypeVar

import attrs

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return what *coroutine* returns, while this thread waits; it may have a running event loop itself.

    Where the wait is interrupted, as by a signal, the coroutine is cancelled and has ended when this is raised.

    Raises:
        RuntimeError: if it is called on the thread of the loop, which would wait for itself.
    """
    try:
        loop = _loop()
    except BaseException:
        coroutine.close()
        raise
    call = _Call(coroutine)
    try:
        loop.call_soon_threadsafe(call.begin, loop)
        return call.outcome.result()
    except BaseException:
        if not call.outcome.done():
            loop.call_soon_threadsafe(call.cancel)
            wait([call.outcome])
        raise
    finally:
        del call  # the traceback of an error holds this frame, and the outcome the error


@attrs.define(eq=False)
class _Call(Generic[Result]):
    """One coroutine on the loop, and its outcome for the thread that waits."""

    coroutine: Coroutine[Any, Any, Result]
    outcome: Future[Result] = attrs.field(factory=Future)
    task: asyncio.Task[Result] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.task = loop.create_task(self.coroutine)
        self.task.add_done_callback(self._end)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
        elif not self.outcome.done():  # the signal came before `begin` was scheduled
            self.coroutine.close()
            self.outcome.set_exception(asyncio.CancelledError())

    def _end(self, task: asyncio.Task[Result]) -> None:
        # The loop keeps neither the coroutine nor the traceback, whose frames hold the objects of the caller.
        self.task = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self.outcome.set_result(task.result())
        else:
            self.outcome.set_exception(error)


_lock = threading.Lock()
_running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
_of_the_parent: Final[list[Any]] = []


def _loop() -> asyncio.AbstractEventLoop:
    """Return the loop, on its thread."""
    global _running  # noqa: PLW0603 one for the process
    with _lock:
        if _running is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="evframe.client", daemon=True)
            thread.start()
            _running = loop, thread
        loop, thread = _running
    if thread is threading.current_thread():
        raise RuntimeError("expected a call of a blocking client on another thread than that of its event loop")
    return loop


def _forget() -> None:
    """Have a forked process start its own loop; that of its parent shares descriptors, so it is never closed here."""
    global _lock, _running  # noqa: PLW0603 as above
    _lock = threading.Lock()
    _of_the_parent.append(_running)
    _running = None


os.register_at_fork(after_in_child=_forget)
