"""Retries: a budget of attempts a second for all subscribers, spent in the order in which the attempts are due."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Hashable
from contextvars import Context
from itertools import count
from typing import Final, Generic, TypeVar

from evframe_timing.alarm import Alarm

Key = TypeVar("Key", bound=Hashable)
_BURST_S: Final = 0.02
"""How many seconds' worth of attempts may come at once."""


class Retries(Generic[Key]):
    """Keys that wait for their next attempt, and the budget that their attempts share.

    Keys that failed for the first time wait in one queue, all others in a second one. While both
    queues are behind, they take turns. A peer that was away for a moment therefore does not wait
    behind thousands that have been away for long.

    Args:
        per_s: attempts a second.
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = count()
        self._entries: dict[Key, _Entry[Key]] = {}
        self._queues: tuple[list[_Entry[Key]], list[_Entry[Key]]] = ([], [])
        self._turn = 0
        self._filled_at = clock()
        self.per_s = per_s
        """Attempts a second."""
        self._budget = self._most

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def _most(self) -> float:
        return max(1.0, self.per_s * _BURST_S)

    def add(self, key: Key, after_s: float, *, is_first: bool = False) -> None:
        """Schedule the next attempt of *key*, which does not wait yet, in *after_s* seconds or later.

        Args:
            key: what is tried again.
            after_s: seconds from now.
            is_first: whether *key* has failed for the first time.
        """
        entry = self._entries[key] = _Entry(self._clock() + after_s, next(self._numbers), key)
        heapq.heappush(self._queues[0 if is_first else 1], entry)

    def discard(self, key: Key) -> bool:
        """Cancel the next attempt of *key*; return whether *key* waited for one."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        entry.key = None  # removing the entry from the heap would take linear time
        for queue in self._queues:
            while queue and queue[0].key is None:
                heapq.heappop(queue)
        return True

    def spend(self) -> None:
        """Count an attempt that does not wait for its turn; later attempts wait longer."""
        self._fill()
        self._budget -= 1.0

    def take(self) -> list[Key]:
        """Return the keys whose turn it is now, in order."""
        self._fill()
        now = self._clock()
        taken = []
        while self._budget >= 1.0 and (key := self._pop(now)) is not None:
            self._budget -= 1.0
            taken.append(key)
        return taken

    def next_in_s(self) -> float | None:
        """Return the seconds until there may be something to take; None when nothing waits."""
        due = [queue[0].due for queue in self._queues if queue]
        if not due:
            return None
        self._fill()
        wait_s = max(0.0, min(due) - self._clock())
        if self._budget >= 1.0:
            return wait_s
        # Several attempts at a time, because each turn of the loop has a cost, too.
        return max(wait_s, (self._most - self._budget) / self.per_s)

    def _fill(self) -> None:
        now = self._clock()
        self._budget = min(self._most, self._budget + (now - self._filled_at) * self.per_s)
        self._filled_at = now

    def _pop(self, now: float) -> Key | None:
        for which in (self._turn, 1 - self._turn):
            queue = self._queues[which]
            if queue and queue[0].due <= now:
                key = heapq.heappop(queue).key
                while queue and queue[0].key is None:
                    heapq.heappop(queue)
                self._turn = 1 - which
                assert key is not None
                del self._entries[key]
                return key
        return None


class _Entry(Generic[Key]):
    __slots__ = ("due", "key", "number")

    def __init__(self, due: float, number: int, key: Key) -> None:
        self.due = due
        self.number = number
        self.key: Key | None = key

    def __lt__(self, other: _Entry[Key]) -> bool:
        return (self.due, self.number) < (other.due, other.number)


class RetryTimer(Generic[Key]):
    """Calls *resume* with each key whose turn has come, on the loop, with one timer for all of them.

    Args:
        per_s: attempts a second.
        resume: called with the key.
        context: the context in which *resume* is called.
    """

    def __init__(self, per_s: float, resume: Callable[[Key], None], context: Context) -> None:
        self._retries: Retries[Key | asyncio.Future[None]] = Retries(per_s)
        self._resume = resume
        self.alarm = Alarm(self._take, context)
        """The timer, which the delivery starts."""

    @property
    def per_s(self) -> float:
        """Attempts a second."""
        return self._retries.per_s

    @per_s.setter
    def per_s(self, per_s: float) -> None:
        self._retries.per_s = per_s

    def add(self, key: Key, after_s: float, *, is_first: bool = False) -> None:
        """Resume *key* later; see `Retries.add`."""
        self._retries.add(key, after_s, is_first=is_first)
        self._set_alarm()

    def discard(self, key: Key) -> bool:
        """Cancel the attempt of *key*; return whether *key* waited for one."""
        return self._retries.discard(key)

    async def turn(self, after_s: float) -> None:
        """Wait *after_s* seconds, and then until the shared budget permits an attempt."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._retries.add(turn, after_s)
        self._set_alarm()
        try:
            await turn
        finally:
            self._retries.discard(turn)

    def spend(self) -> None:
        """Count an attempt that does not wait for its turn."""
        self._retries.spend()

    def _set_alarm(self) -> None:
        next_in_s = self._retries.next_in_s()
        if next_in_s is not None:
            self.alarm.set(next_in_s)

    def _take(self) -> None:
        for key in self._retries.take():
            if not isinstance(key, asyncio.Future):
                self._resume(key)
            elif not key.done():
                key.set_result(None)
        self._set_alarm()
