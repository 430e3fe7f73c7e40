"""Checks that code on an event loop does not hold it: what sleeps, and what waits for a file or a lock."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

_SCHEDULED: Final = "/proc/thread-self/schedstat"


class Stalls:
    """Measures how long a turn of the running loop slept, and how long it computed, at most.

    ::

        async with Stalls() as stalls:
            await work()
        assert stalls.slept_s < 0.05

    What the thread waited for a processor counts as neither, so that a loaded machine changes little.
    """

    def __init__(self) -> None:
        self.slept_s = 0.0
        """The longest time in one turn that the thread was neither running nor ready to run."""
        self.computed_s = 0.0
        """The longest time of a processor that one turn took."""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._measure())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await asyncio.sleep(0)
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _measure(self) -> None:
        before = _times()
        while True:
            await asyncio.sleep(0)  # something is always ready, so that the loop itself never waits
            now = _times()
            wall, computed, waited = (new - old for new, old in zip(now, before, strict=True))
            self.computed_s = max(self.computed_s, computed)
            self.slept_s = max(self.slept_s, wall - computed - waited)
            before = now


def _times() -> tuple[float, float, float]:
    """Return the time, that which this thread has computed, and that which it has waited for a processor."""
    waited = 0.0
    with suppress(OSError), open(_SCHEDULED, encoding="ascii") as file:
        waited = int(file.read().split()[1]) / 1e9
    return time.monotonic(), time.thread_time(), waited


@contextmanager
def blocking_calls(
    module: str, may_block: Sequence[tuple[str, str, str]] = (), on_call: Callable[[], Any] | None = None
) -> Iterator[list[str]]:
    """Yield the blocking calls that code of *module* makes on the loop; each raises an error where it is made.

    They are found by blockbuster; none is where it is not installed.

    Args:
        module: a module or a package; what it calls counts as its own.
        may_block: calls that are bounded by design: the function, the end of a file's name and a function in it.
        on_call: called with each.
    """
    calls: list[str] = []
    try:
        library: Any = importlib.import_module("blockbuster.blockbuster")  # a dependency of tests alone
    except ImportError:
        yield calls
        return

    def noted(function: str) -> Exception:
        calls.append(function)
        if on_call is not None:
            on_call()
        raised: Exception = error(function)
        return raised

    error = library.BlockingError
    guard = library.BlockBuster([module])
    for each in guard.functions.values():
        each.can_block_in("evframe/testing/blocking.py", _times.__name__)  # `Stalls` reads while *module* runs the loop
    for function, file, name in may_block:
        guard.functions[function].can_block_in(file, name)
    library.BlockingError = noted  # a transport that catches the error is found, too
    guard.activate()
    try:
        yield calls
    finally:
        guard.deactivate()
        library.BlockingError = error
