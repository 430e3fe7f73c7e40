"""Lookups of host names on a bounded number of separate threads, where lookups that hang cannot starve others."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import IntEnum
from typing import Any, Final, Protocol

Found = tuple[tuple[int, tuple[Any, ...]], ...]
"""The addresses of a name as family and `sockaddr`, whose port has no meaning."""


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


class Client(Protocol):
    """What has names looked up; its methods are called on the loop, but for `lookup`."""

    @property
    def lookup(self) -> Callable[[str], Iterable[tuple[int, tuple[Any, ...]]]]:
        """Returns the addresses of a name, or raises an error; it may block, and runs on a thread."""

    @property
    def timeout_s(self) -> float:
        """How long a lookup may take before it is late."""

    def late(self, host: str) -> None:
        """Handle the lookup of *host* as failed, because its time is used up; an answer may still come."""

    def ended(self, host: str, found: Found | Exception, *, was_late: bool) -> None:
        """Handle the addresses of *host*, or the error of its lookup."""


def look_up(host: str) -> list[tuple[int, tuple[Any, ...]]]:
    """Return the system's addresses of *host*; OSError when it does not resolve. It may block for long."""
    found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    return [(int(family), sockaddr) for family, _, _, _, sockaddr in found]


def start_thread(work: Callable[[], None]) -> None:
    """Run *work* on a thread that does not delay the end of the process."""
    threading.Thread(target=work, name="evframe-resolve", daemon=True).start()


class LookupThreads:
    """Runs each lookup on a separate thread, and queues lookups beyond the bound of their lane.

    Args:
        client: of the lookups.
        start: runs a function that may block.
    """

    def __init__(self, client: Client, start: Callable[[Callable[[], None]], None]) -> None:
        self._client = client
        self._start = start
        self._queues: dict[Lane, OrderedDict[str, None]] = {lane: OrderedDict() for lane in Lane}
        self._running: dict[str, asyncio.TimerHandle] = {}  # with the timer of its time
        self._late: set[str] = set()
        self.begun = 0
        """How many lookups have begun."""

    def __contains__(self, host: str) -> bool:
        """Whether a lookup of *host* is under way or waits for a thread."""
        return host in self._running or self._lane_of(host) is not None

    def is_late(self, host: str) -> bool:
        """Return whether the lookup of *host* under way has used up its time."""
        return host in self._late

    def _lane_of(self, host: str) -> Lane | None:
        return next((lane for lane, queue in self._queues.items() if host in queue), None)

    def put(self, host: str, lane: Lane) -> bool:
        """Have *host* looked up, on the running loop; return False when too many names wait.

        A name has one lookup at a time; a waiting name can move to a lower lane.
        """
        if host in self._running:
            return True
        before = self._lane_of(host)
        if before is None and sum(map(len, self._queues.values())) >= MOST_QUEUED:
            return False
        if before is None or lane < before:
            if before is not None:
                del self._queues[before][host]
            self._queues[lane][host] = None
            self._dispatch()
        return True

    def _dispatch(self) -> None:
        """Begin as many lookups as threads are free."""
        for lane, queue in self._queues.items():
            while queue and self._has_thread(lane):
                self._begin(queue.popitem(last=False)[0])

    def _has_thread(self, lane: Lane) -> bool:
        running, most = len(self._running), MOST_THREADS[lane]
        return running - len(self._late) < most and running < 2 * most

    def _begin(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        self.begun += 1
        timer = self._running[host] = loop.call_later(self._client.timeout_s, self._set_late, host)

        def work() -> None:
            result: Found | Exception
            try:
                result = tuple(self._client.lookup(host))
            except Exception as error:  # noqa: BLE001 any error of a lookup is its outcome
                result = error.with_traceback(None)  # the traceback holds this frame, and would form a cycle
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._end, host, timer, result)

        try:
            self._start(work)
        except RuntimeError as error:  # the system has no thread for it
            loop.call_soon(self._end, host, timer, error)

    def _set_late(self, host: str) -> None:
        self._late.add(host)
        self._client.late(host)
        self._dispatch()

    def _end(self, host: str, timer: asyncio.TimerHandle, result: Found | Exception) -> None:
        if self._running.get(host) is not timer:
            return  # `close` dropped this lookup
        timer.cancel()
        del self._running[host]
        was_late = host in self._late
        self._late.discard(host)
        self._client.ended(host, result, was_late=was_late)
        self._dispatch()

    def close(self) -> None:
        """Drop the names that wait, and the results of lookups under way."""
        for timer in self._running.values():
            timer.cancel()
        self._running.clear()
        self._late.clear()
        for queue in self._queues.values():
            queue.clear()
