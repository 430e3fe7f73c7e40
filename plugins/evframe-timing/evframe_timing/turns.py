"""Turns at what is scarce, such as a full queue, for callers that wait."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable
from itertools import count
from operator import attrgetter
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
_number = attrgetter("number")


class Turns(Generic[Key]):
    """Callers that wait, each for one key after the other; the oldest of a key gets its turn first.

    Only those that get a turn are woken: waking a thousand callers for each place would be quadratic.
    """

    def __init__(self) -> None:
        self._callers: dict[Key, list[_Caller[Key]]] = {}  # by what they wait for, the oldest first
        self._numbers = count()

    def __len__(self) -> int:
        return sum(map(len, self._callers.values()))

    async def wait(self, obstacle: Callable[[], Key | None]) -> None:
        """Wait until *obstacle*, which is called at first and at each turn, returns None instead of a key."""
        caller = _Caller(next(self._numbers), obstacle)
        try:
            while (key := obstacle()) is not None:
                caller.turn = asyncio.get_running_loop().create_future()
                self._move(caller, key)
                await caller.turn
        finally:
            self._move(caller, None)

    def _move(self, caller: _Caller[Key], key: Key | None) -> None:
        """Let *caller* wait for *key*, and give the turn at the key before, which it may leave unused, to the next."""
        before = caller.key
        if before == key:
            return
        self._add(caller, key)
        if before is not None:
            callers = self._callers[before]
            del callers[bisect_left(callers, caller.number, key=_number)]
            self._give(before, 1)

    def _add(self, caller: _Caller[Key], key: Key | None) -> None:
        caller.key = key
        if key is not None:
            insort(self._callers.setdefault(key, []), caller, key=_number)

    def give(self, key: Key) -> None:
        """Give a turn to each caller that waits for *key*."""
        for caller in self._callers.get(key, ()):
            caller.wake()

    def give_all(self) -> None:
        """Give a turn to each caller."""
        for key in self._callers:
            self.give(key)

    def give_at_most(self, most: Callable[[Key], int]) -> None:
        """Give a turn to as many callers of each key as *most* returns for it."""
        for key in tuple(self._callers):
            self._give(key, most(key))

    def _give(self, key: Key, most: int) -> None:
        """Wake the first *most* callers; one that meets another obstacle waits for that, without being woken."""
        callers, index = self._callers[key], 0
        while index < min(most, len(callers)):
            caller = callers[index]
            other = None if caller.turn.done() else caller.obstacle()
            if other == key:
                break
            if other is None:
                caller.wake()
                index += 1
            else:
                del callers[index]
                self._add(caller, other)
        if not callers:
            del self._callers[key]


class _Caller(Generic[Key]):
    __slots__ = ("key", "number", "obstacle", "turn")

    turn: asyncio.Future[None]

    def __init__(self, number: int, obstacle: Callable[[], Key | None]) -> None:
        self.number = number
        self.obstacle = obstacle
        self.key: Key | None = None

    def wake(self) -> None:
        if not self.turn.done():
            self.turn.set_result(None)
