"""What a transport waits for, step by step, so that the same code serves threads and event loops."""

from __future__ import annotations

import asyncio
import math
import select
import threading
import time
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import Future
from contextlib import closing
from typing import Any, Final, TypeVar

import attrs

Result = TypeVar("Result")


@attrs.frozen
class Ready:
    """Wait until the file descriptor *fd* can be read, or written."""

    fd: int
    write: bool = False


@attrs.frozen
class Aside:
    """Have *function*, which may block, called on a thread; the step's value is what it returns.

    Steps of one *key* share one call: however often a call that hangs is given up and wanted again,
    it has one thread.
    """

    function: Callable[[], Any]
    key: Hashable = None


@attrs.frozen
class Pause:
    """Wait this long."""

    seconds: float


Step = Ready | Aside | Pause
Steps = Generator[Step, Any, Result]


def run(steps: Steps[Result], timeout_s: float) -> Result:
    """Return what *steps* return, blocking this thread for at most *timeout_s* seconds.

    Raises:
        TimeoutError: when the time is over.
    """
    ends_at = time.monotonic() + timeout_s
    with closing(steps):
        try:
            step = next(steps)
            while (left_s := ends_at - time.monotonic()) > 0:
                step = steps.send(_take(step, left_s))
            raise TimeoutError
        except StopIteration as end:
            result: Result = end.value
            return result


def _take(step: Step, left_s: float) -> Any:
    if isinstance(step, Aside):
        return _aside(step).result(left_s)
    if isinstance(step, Pause):
        if step.seconds >= left_s:
            raise TimeoutError
        time.sleep(step.seconds)
        return None
    poll = select.poll()
    poll.register(step.fd, select.POLLOUT if step.write else select.POLLIN)
    if not poll.poll(math.ceil(left_s * 1000)):
        raise TimeoutError
    return None


_calls: dict[Hashable, Future[Any]] = {}
_calls_lock: Final = threading.Lock()


def _aside(step: Aside) -> Future[Any]:
    """Return the result of the call of *step*; one that takes too long is left to end by itself."""
    with _calls_lock:
        call = _calls.get(step.key)
        if call is not None:
            return call
        call = Future()
        call.set_running_or_notify_cancel()  # so that no one who gives up cancels it for the others
        # A daemon: the pools of the standard library hold up the end of the process, and of the loop.
        threading.Thread(target=_work, args=(step, call), name="evframe.client", daemon=True).start()
        if step.key is not None:
            _calls[step.key] = call
        return call


def _work(step: Aside, call: Future[Any]) -> None:
    try:
        result = step.function()
    except Exception as error:  # noqa: BLE001 raised again where it was asked for
        _end(step)
        call.set_exception(error.with_traceback(None))  # which holds this frame, and so itself
    else:
        _end(step)
        call.set_result(result)


def _end(step: Aside) -> None:
    with _calls_lock:
        _calls.pop(step.key, None)


async def run_async(steps: Steps[Result], timeout_s: float) -> Result:
    """Return what *steps* return, within *timeout_s* seconds; the event loop runs meanwhile.

    Raises:
        TimeoutError: when the time is over.
    """
    with closing(steps):
        try:
            async with asyncio.timeout(timeout_s):
                step = next(steps)
                while True:
                    step = steps.send(await _take_async(step))
        except StopIteration as end:
            result: Result = end.value
            return result


async def _take_async(step: Step) -> Any:
    if isinstance(step, Aside):
        return await asyncio.wrap_future(_aside(step))
    if isinstance(step, Pause):
        return await asyncio.sleep(step.seconds)
    return await ready(step.fd, write=step.write)


async def ready(fd: int, *, write: bool = False, unless: asyncio.Future[None] | None = None) -> None:
    """Wait until the file descriptor *fd* can be read, or written, or *unless* is done."""
    loop = asyncio.get_running_loop()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    event = asyncio.Event()

    def wake(*_: Any) -> None:
        event.set()

    add(fd, wake)
    try:
        if unless is not None:
            unless.add_done_callback(wake)
        await event.wait()
    finally:
        remove(fd)
        if unless is not None:
            unless.remove_done_callback(wake)
