"""Turns at what is scarce, such as a full queue, for callers that wait."""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from itertools import islice
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Turns(Generic[Key]):
    """Callers that wait, each for one key after the other; the oldest of a key gets its turn first.

    Only those that get a turn are woken: waking a thousand callers for each place would be quadratic.
    """

    def __init__(self) -> None:
        self._waiting: dict[Key, OrderedDict[object, asyncio.Future[None]]] = {}  # by the callers

    def __len__(self) -> int:
        return sum(len(turns) for turns in self._waiting.values())

    async def wait(self, obstacle: Callable[[], Key | None]) -> None:
        """Wait until *obstacle*, which is called at first and at each turn, returns None instead of a key."""
        caller = object()
        before: Key | None = None
        try:
            while (key := obstacle()) is not None:
                if before is not None and before != key:
                    self._leave(before, caller)
                before, turn = key, asyncio.get_running_loop().create_future()
                self._waiting.setdefault(key, OrderedDict())[caller] = turn  # which keeps its place in the order
                await turn
        finally:
            if before is not None:
                self._leave(before, caller)

    def _leave(self, key: Key, caller: object) -> None:
        turns = self._waiting[key]
        del turns[caller]
        _wake(turns, 1)  # the caller may leave its turn unused: it was cancelled, or waits for another key
        if not turns:
            del self._waiting[key]

    def give(self, key: Key) -> None:
        """Give a turn to each caller that waits for *key*."""
        _wake(self._waiting.get(key, {}))

    def give_at_most(self, most: Callable[[Key], int]) -> None:
        """Give a turn to as many callers of each key as *most* returns for it."""
        for key, turns in self._waiting.items():
            _wake(turns, most(key))


def _wake(turns: Mapping[object, asyncio.Future[None]], most: int = sys.maxsize) -> None:
    for turn in islice(turns.values(), max(0, most)):
        if not turn.done():
            turn.set_result(None)
