"""The event for destinations that are new: with the state that they begin with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from evframe_dispatcher.destinations import Destination, Name, Sets

REASON: Final = "initial state"
_LOOK_S: Final = 1.0  # destinations may be read again on any thread
_SLICE: Final = 500


class InitialEvents:
    """Has the event raised once for each destination, at the start and after a reload.

    Args:
        sets: returns the destinations as they are now.
        report: raises the event for one, with a reason.
        spawn: runs a task.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        sets: Callable[[], Sets],
        report: Callable[[Destination, str], None],
        spawn: Callable[[Coroutine[Any, Any, None]], Any],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._sets = sets
        self._report = report
        self._spawn = spawn
        self._sleep = sleep
        self._is_wanted = self._is_running = False
        self._known: set[Name] = set()

    def follow(self, *, is_wanted: bool) -> None:
        """Begin, or end, what the option says; those that exist when it begins count as new."""
        self._is_wanted = is_wanted
        if is_wanted and not self._is_running:
            self._is_running = True
            self._known.clear()
            self._spawn(self._run())

    async def _run(self) -> None:
        seen: Sets | None = None
        while self._is_wanted:
            sets = self._sets()
            if sets is not seen:
                seen = sets
                await self._raise_for_new(sets)
            await self._sleep(_LOOK_S)
        self._is_running = False

    async def _raise_for_new(self, sets: Sets) -> None:
        new = [each for each in sets if each.name not in self._known]
        self._known = {each.name for each in sets}
        for number, destination in enumerate(new, 1):
            self._report(destination, REASON)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
