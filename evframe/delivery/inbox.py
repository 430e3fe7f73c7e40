"""Events raised by threads other than the loop's."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from evframe.events.event import Event

_TURN_EVENTS: Final = 4096


class Inbox:
    """A bounded queue from any thread to the loop; events that find no room are dropped and counted."""

    def __init__(self, room: int, take: Callable[[Event], None], lose: Callable[[str, int], None]) -> None:
        self.room = room
        self._take = take
        self._lose = lose
        self._events: deque[Event] = deque()
        self._lost: Counter[str] = Counter()
        self._lock = threading.RLock()  # reentrant, because a finaliser may raise an event in the middle of a raise
        self._woken = False
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over events on *loop*, starting with those that wait already."""
        with self._lock:
            self._loop = loop
        self.empty()

    def flush(self) -> None:
        """Hand over all waiting events, on the loop's thread."""
        while self._events or self._lost:
            self.empty()

    def stop(self) -> None:
        """Hand over the waiting events, on the loop's thread; later events are handed over where they are raised.

        The callback that takes events must not call the loop any more.
        """
        with self._lock:
            self._loop = None
            self._stopped = True
        self.flush()

    def put(self, event: Event) -> None:
        """Take *event*; from any thread."""
        with self._lock:
            if self._stopped:
                self._take(event)
            elif len(self._events) < self.room:
                self._events.append(event)
            else:
                self._lost[event.name] += 1
            if not self._woken and self._loop is not None:
                self._woken = True
                self._loop.call_soon_threadsafe(self.empty)

    def empty(self) -> None:
        """Hand over the waiting events in slices, one in each turn of the loop; on the loop's thread."""
        events = self._events
        with self._lock:
            lost = dict(self._lost)
            self._lost.clear()
            count = min(len(events), _TURN_EVENTS)
            self._woken = count < len(events) and self._loop is not None
            if self._woken and self._loop is not None:
                self._loop.call_soon(self.empty)
        for _ in range(count):
            self._take(events.popleft())
        for name, missing in lost.items():
            self._lose(name, missing)
