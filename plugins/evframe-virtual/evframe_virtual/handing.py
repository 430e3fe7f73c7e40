"""Handing over what members have left, a slice in each turn of the loop."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar
from weakref import WeakMethod

SLICE_EVENTS: Final = 4096


class Numbered(Protocol):
    """An event on its way to a member."""

    number: int
    """Its place in the order of raising."""


AttemptT = TypeVar("AttemptT", bound=Numbered)


class Source(Protocol[AttemptT]):
    """A member that has left events."""

    def take(self, most: int) -> list[AttemptT]:
        """Return at most *most* of them; an empty list when none is left."""


class HandOver(Generic[AttemptT]):
    """Collects what members have left, and sends it in the order of raising, before anything newer.

    Args:
        send: sends one event to another member; a bound method of the group.
    """

    def __init__(self, send: Callable[[AttemptT], None]) -> None:
        self._send = WeakMethod(send)  # the group has the hand-over
        self._sources: deque[Source[AttemptT]] = deque()
        self._waiting: list[tuple[int, AttemptT]] = []
        self._is_closed = False
        self.is_active = False
        """Whether anything waits to be sent, so that what is newer has to wait behind it."""

    def add(self, source: Source[AttemptT]) -> None:
        """Hand over what *source* has left; the first slice at once."""
        if source not in self._sources:
            self._sources.append(source)
        if not self.is_active:
            self.is_active = True
            self._step()

    def put(self, attempt: AttemptT) -> None:
        """Send an event when its turn comes."""
        if not self._is_closed:
            heapq.heappush(self._waiting, (attempt.number, attempt))

    def close(self) -> None:
        """Send nothing more: the subscriber has ended, and each event has its outcome."""
        self._is_closed = True
        self._waiting.clear()

    def _step(self) -> None:
        left = SLICE_EVENTS
        send = self._send()
        while self._sources and left > 0:
            attempts = self._sources[0].take(left)
            if not attempts:
                self._sources.popleft()
            for attempt in attempts:
                self.put(attempt)
            left -= 1 + len(attempts)
        # Only when all is collected is it known which event is the oldest.
        while self._waiting and not self._sources and left > 0 and send is not None:
            left -= 1
            send(heapq.heappop(self._waiting)[1])
        self.is_active = bool(self._sources or self._waiting) and send is not None
        if self.is_active:
            asyncio.get_running_loop().call_soon(self._step)
