"""Lookups of host names on a bounded number of separate threads, where lookups that hang cannot starve others."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import IntEnum
from functools import partial
from typing import Any, Final

Found = tuple[tuple[int, tuple[Any, ...]], ...]
"""The addresses of a name as family and `sockaddr`, whose port has no meaning."""
Lookup = Callable[[str], Iterable[tuple[int, tuple[Any, ...]]]]
"""Returns the addresses of a name, or raises OSError; it may block."""


class Lane(IntEnum):
    """The priority of a lookup: a name of a lower lane is looked up before a name of a higher lane."""

    ANSWERED = 0
    """A caller waits for a name that has been answered before."""
    NEW = 1
    """A caller waits for a name that has never been looked up."""
    REFRESH = 2
    """No caller waits: an answer is refreshed."""
    SLOW = 3
    """The last lookup of the name took longer than its time."""


MOST_THREADS: Final = {Lane.ANSWERED: 128, Lane.NEW: 96, Lane.REFRESH: 64, Lane.SLOW: 32}
"""A lookup begins while fewer threads than this are busy: each lane leaves some to the lanes before it.

A lookup that has used up its time keeps its thread and is not counted; at most twice as many lookups
run in all.
"""
MOST_QUEUED: Final = 10_000
"""How many names may wait for a thread."""


def start_thread(work: Callable[[], None]) -> None:
    """Run *work* on a thread that does not delay the end of the process."""
    threading.Thread(target=work, name="evframe-resolve", daemon=True).start()


class LookupThreads:
    """Runs each lookup on a separate thread, and queues lookups beyond the bound of their lane.

    Args:
        lookup: called with a name, on a thread.
        began: called with a name when its lookup begins.
        ended: called with a name and its addresses, or the error of its lookup; on the loop.
        start: runs a function that may block.
    """

    def __init__(
        self,
        lookup: Lookup,
        began: Callable[[str], None],
        ended: Callable[[str, Found | Exception], None],
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._lookup = lookup
        self._began = began
        self._ended = ended
        self._start = start
        self._queues: dict[Lane, deque[str]] = {lane: deque() for lane in Lane}
        self._queued: dict[str, Lane] = {}
        self._running: set[str] = set()
        self._late: set[str] = set()
        self._is_closed = False

    def __contains__(self, host: str) -> bool:
        """Whether a lookup of *host* is under way or waits for a thread."""
        return host in self._running or host in self._queued

    @property
    def running(self) -> int:
        """How many threads are busy."""
        return len(self._running)

    @property
    def queued(self) -> int:
        """How many names wait for a thread."""
        return len(self._queued)

    def put(self, host: str, lane: Lane) -> bool:
        """Have *host* looked up, on the running loop; return False when too many names wait.

        A name has one lookup at a time; a waiting name can move to a lower lane.
        """
        if host in self._running:
            return True
        before = self._queued.get(host)
        if before is None and len(self._queued) >= MOST_QUEUED:
            return False
        if before is None or lane < before:
            self._queued[host] = lane
            self._queues[lane].append(host)
            self._dispatch()
        return True

    def _dispatch(self) -> None:
        """Begin as many lookups as threads are free."""
        for lane, queue in self._queues.items():
            while queue and self._has_thread(lane):
                host = queue.popleft()
                if self._queued.get(host) == lane:  # otherwise the name has moved to another lane
                    del self._queued[host]
                    self._begin(host)

    def _has_thread(self, lane: Lane) -> bool:
        running, most = len(self._running), MOST_THREADS[lane]
        return running - len(self._late) < most and running < 2 * most

    def set_late(self, host: str) -> None:
        """Record that the lookup of *host* has used up its time, so that another lookup may begin."""
        self._late.add(host)
        self._dispatch()

    def _begin(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        self._running.add(host)
        self._began(host)
        try:
            self._start(partial(self._work, loop, host))
        except RuntimeError as error:  # the system has no thread for it
            loop.call_soon(self._over, host, error)

    def _work(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        """Look *host* up; on its thread."""
        result: Found | Exception
        try:
            result = tuple(self._lookup(host))
        except Exception as error:  # noqa: BLE001 any error of a lookup is its outcome
            result = error.with_traceback(None)  # the traceback holds this frame, and would form a cycle
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._over, host, result)

    def _over(self, host: str, result: Found | Exception) -> None:
        if not self._is_closed:
            self._running.discard(host)
            self._late.discard(host)
            self._ended(host, result)
            self._dispatch()

    def close(self) -> None:
        """Begin no further lookup, and drop the results of lookups under way."""
        self._is_closed = True
        self._running.clear()
        self._late.clear()
        self._queued.clear()
        for queue in self._queues.values():
            queue.clear()
