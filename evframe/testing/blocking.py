"""Checks that code on an event loop does not hold it: what sleeps, and what waits for a file or a lock."""

from __future__ import annotations

import asyncio
import importlib
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

import attrs

_THREADS: Final = "/proc/self/task"
_TICKS_S: Final = 0.02  # by which the kernel may be late to count what a thread that is running has computed


class Stalls:
    """Measures how long a turn of the running loop slept, and how long it computed, at most.

    ::

        async with Stalls() as stalls:
            await work()
        assert stalls.slept_s < 0.05

    What the thread waited for a processor counts as neither, so that a loaded machine changes little. Nor does the time
    in which other threads of the process ran or were ready to: they may have had the lock of the interpreter. A turn in
    which the process read from a disk has no time of sleep, because a disk with other work takes any time; nor has one
    in which a thread ended that had computed, because nothing says any more when it was ready to run.
    """

    def __init__(self) -> None:
        self.slept_s = 0.0
        """The longest time in one turn that the thread slept, while no other one of the process was ready to run."""
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
        before = _Times.now()
        while True:
            await asyncio.sleep(0)  # something is always ready, so that the loop itself never waits
            now = _Times.now()
            self.computed_s = max(self.computed_s, now.computed_s - before.computed_s)
            self.slept_s = max(self.slept_s, now.slept_s(before))
            before = now


@attrs.frozen
class _Times:
    """What the threads of the process have done up to a moment."""

    begun_s: float
    """When the counters began to be read; a thread may wait for a processor between any two of them."""
    ended_s: float
    """When all of them were read."""
    computed_s: float
    """The time of a processor that this thread has taken."""
    sleeps: int
    """How often this thread has given its processor away by itself."""
    reads: int
    """How often the process has waited for a disk."""
    process_s: float
    """The time of processors that the process has taken, with that of threads that have ended."""
    ran_ns: Mapping[str, int]
    """How long each thread has been running; nothing where the kernel does not count it."""
    ready_ns: Mapping[str, int]
    """How long each has been ready to run, and waited for a processor."""

    @classmethod
    def now(cls) -> Self:
        begun_s = time.monotonic()
        ran, ready = {}, {}
        with suppress(OSError):
            for thread in os.listdir(_THREADS):
                with suppress(OSError), open(f"{_THREADS}/{thread}/schedstat", encoding="ascii") as file:
                    ran[thread], ready[thread], _ = map(int, file.read().split())
        sleeps = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        process = resource.getrusage(resource.RUSAGE_SELF)
        reads = process.ru_majflt + process.ru_inblock
        computed_s = time.thread_time()
        return cls(begun_s, time.monotonic(), computed_s, sleeps, reads, time.process_time(), ran, ready)

    def slept_s(self, before: Self) -> float:
        """Return how long the thread slept since *before*, at least; a machine that stood still is no sleep."""
        if self.sleeps == before.sleeps or self.reads != before.reads:
            return 0.0
        busy_s = self.computed_s - before.computed_s
        if self.ran_ns:
            ran_s, ready_s = _since_s(before.ran_ns, self.ran_ns), _since_s(before.ready_ns, self.ready_ns)
            if self.process_s - before.process_s > ran_s + _TICKS_S:
                return 0.0  # a thread has ended
            busy_s = ran_s + ready_s
        return self.begun_s - before.ended_s - busy_s


def _since_s(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    return sum(ns - before.get(thread, 0) for thread, ns in now.items()) / 1e9


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
        each.can_block_in("evframe/testing/blocking.py", "now")  # `Stalls` reads while *module* runs the loop
    for function, file, name in may_block:
        guard.functions[function].can_block_in(file, name)
    library.BlockingError = noted  # a transport that catches the error is found, too
    guard.activate()
    try:
        yield calls
    finally:
        guard.deactivate()
        library.BlockingError = error
