"""The workers of plain callables: threads for all routes together, whose number may change while they work."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sized
from queue import SimpleQueue
from typing import Protocol


class Work(Protocol):
    """What a worker does."""

    def run(self, waiting: Sized) -> bool:
        """Work on a thread; return False to continue later, for the sake of what is *waiting*."""

    def end(self) -> None:
        """Finish, on the thread, when all is done."""


class WorkerPool:
    """A group of workers; see `evframe.plugin.WorkerGroup`.

    The threads exist from the first work on. A worker that is held up for good is replaced,
    so that it costs nothing but its thread. All but the threads' own is called by the loop's thread.

    Args:
        smallest: how many workers there are at least, and at first.
        largest: how many there are at most.
        clock: the monotonic clock, in seconds.
    """

    kind = "ROUTE"
    filter = "none"

    def __init__(self, smallest: int, largest: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.bounds = (smallest, largest)
        self._lock = threading.Lock()
        self._steps: SimpleQueue[None] = SimpleQueue()  # one for each work that waits, and each worker to leave
        self._waiting: deque[Work] = deque()
        self._leaving = 0
        self._is_open = False
        self._load = _Load(smallest, clock)

    @property
    def size(self) -> int:
        """How many workers there are."""
        return self._load.size

    def put(self, work: Work) -> None:
        """Have *work* taken by a worker, after what waits already."""
        if not self._is_open:
            self._is_open = True
            for _ in range(self.size):
                self._start()
        self._waiting.append(work)
        self._steps.put(None)

    def _start(self) -> None:
        # A daemon, so that a route that never returns does not keep the process.
        threading.Thread(target=self._run, name="route", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._steps.get()
            with self._lock:
                if self._leaving:
                    self._leaving -= 1
                    return
                work = self._waiting.popleft()
                self._load.begin(work)
            done = work.run(self._waiting)
            with self._lock:
                is_replaced = not self._load.end(work)
            if done:
                work.end()
            else:
                self._waiting.append(work)
                self._steps.put(None)
            if is_replaced:
                return

    def replace(self, work: Work) -> None:
        """Start a worker in place of the one that *work* holds up, which leaves when it is done."""
        with self._lock:
            was_held_up = self._load.end(work)
        if was_held_up:
            self._start()

    def load_percent(self) -> int:
        """Return the part of the workers' time since the last call that was spent working, in percent."""
        with self._lock:
            return self._load.percent()

    def grow(self) -> int:
        """Add a worker and return its number; ValueError when there are as many as may be."""
        self._change(self.size + 1)
        if self._is_open:
            self._start()
        return self.size

    def shrink(self) -> int:
        """End the first worker that is idle, and return the last one's number."""
        self._change(self.size - 1)
        if self._is_open:
            self._leave(1)
        return self.size + 1

    def _change(self, size: int) -> None:
        smallest, largest = self.bounds
        if not smallest <= size <= largest:
            raise ValueError(f"expected {smallest} to {largest} workers, got {size}")
        with self._lock:
            self._load.resize(size)

    def _leave(self, count: int) -> None:
        with self._lock:
            self._leaving += count
        for _ in range(count):
            self._steps.put(None)

    def close(self) -> None:
        """End every worker after the work that it is at."""
        if self._is_open:
            self._is_open = False
            self._leave(self.size)


class _Load:
    """Adds up the time that workers exist, and the time that they work."""

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.size = size
        self._since: dict[Work, float] = {}
        self._working_s = 0.0  # of what has ended, less what was reported
        self._there_s = 0.0  # until the last change, less what was reported
        self._changed_at = clock()

    def begin(self, work: Work) -> None:
        """Record that a worker has begun."""
        self._since[work] = self._clock()

    def end(self, work: Work) -> bool:
        """Record that a worker has ended; return whether it had begun."""
        since = self._since.pop(work, None)
        if since is None:
            return False
        self._working_s += self._clock() - since
        return True

    def resize(self, size: int) -> None:
        """Record that there are *size* workers from now on."""
        now = self._clock()
        self._there_s += self.size * (now - self._changed_at)
        self.size, self._changed_at = size, now

    def percent(self) -> int:
        """Return the part of the time since the last call that was spent working."""
        self.resize(self.size)
        now = self._changed_at
        for work, since in self._since.items():
            self._working_s += now - since
            self._since[work] = now
        working_s, there_s = self._working_s, self._there_s
        self._working_s = self._there_s = 0.0
        return min(100, round(100 * working_s / there_s)) if there_s > 0 else 0
