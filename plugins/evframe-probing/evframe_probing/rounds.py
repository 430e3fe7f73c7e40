"""When probes are made: everything once in an interval, spread over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Rounds(Generic[T]):
    """Probes what is due, round after round; one that takes long holds up no other, only its own next one.

    Args:
        interval_s: how long a round is.
        due: returns what is to be probed in the round that begins.
        probe: probes one.
        spawn: runs a probe beside the others.
        clock: monotonic, in seconds.
        sleep: waits so many seconds of that clock.
    """

    def __init__(  # noqa: PLR0913 the last two are for tests
        self,
        interval_s: float,
        due: Callable[[], Sequence[T]],
        probe: Callable[[T], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval_s = interval_s
        self._due = due
        self._probe = probe
        self._spawn = spawn
        self._clock = clock
        self._sleep = sleep
        self._under_way: set[T] = set()

    async def run(self) -> None:
        """Go round until cancelled."""
        begin = self._clock()
        while True:
            due = self._due()
            for number, item in enumerate(due):
                await self._until(begin + number * self._interval_s / len(due))
                if item not in self._under_way:
                    self._under_way.add(item)
                    self._spawn(self._one(item))
            await self._until(begin + self._interval_s)
            # After a stall the next round is whole, rather than all of it at once.
            begin = max(begin + self._interval_s, self._clock() - self._interval_s)

    async def _until(self, at: float) -> None:
        await self._sleep(max(0.0, at - self._clock()))

    async def _one(self, item: T) -> None:
        try:
            await self._probe(item)
        finally:
            self._under_way.discard(item)
