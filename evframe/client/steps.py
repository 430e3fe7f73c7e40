"""What a transport waits for, told step by step, so that the same code serves threads and event loops."""

from __future__ import annotations

import asyncio
import math
import select
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, TypeVar

import attrs

Result = TypeVar("Result")


@attrs.frozen
class Ready:
    """Wait until the file descriptor *fd* can be read, or written."""

    fd: int
    write: bool = False


@attrs.frozen
class Aside:
    """Have *function*, which may block, called aside; the step's value is what it returns."""

    function: Callable[[], Any]


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
        return _aside(step.function, left_s)
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


def _aside(function: Callable[[], Any], left_s: float) -> Any:
    """Return what *function* returns; one that takes too long is left to end by itself."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome[:] = [function(), None]
        except Exception as error:  # noqa: BLE001 raised again where it was asked for
            outcome[:] = [None, error]

    thread = threading.Thread(target=work, name="evframe.client", daemon=True)
    thread.start()
    thread.join(left_s)
    if not outcome:
        raise TimeoutError
    result, error = outcome
    if error is not None:
        raise error
    return result


async def run_async(steps: Steps[Result], timeout_s: float) -> Result:
    """Return what *steps* return, within *timeout_s* seconds; the event loop goes on meanwhile.

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
        return await asyncio.get_running_loop().run_in_executor(None, step.function)
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
