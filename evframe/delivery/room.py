"""Waiting for room in the queues, for those that raise with `overflow = "block"`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evframe.delivery.subscriber import Subscriber
    from evframe.events.event import Event


class Room:
    """Holds callers that raise until each queue that their event goes to has room."""

    def __init__(self) -> None:
        self._change: asyncio.Future[None] | None = None
        self._waiting = 0
        self._closed = False
        self.is_used = False
        """Whether the policy is to wait."""

    async def wait(self, event: Event, targets: Callable[[], Iterable[Subscriber]]) -> None:
        """Return when each of *targets* has room for *event*; subscribers that have ended do not count.

        The wait also ends when the overflow policy changes.
        """
        self._waiting += 1
        try:
            while self.is_used and not self._closed and not all(each.has_room_for(event) for each in targets()):
                if self._change is None:
                    self._change = asyncio.get_running_loop().create_future()
                await asyncio.shield(self._change)
        finally:
            self._waiting -= 1

    def announce(self) -> None:
        """Wake the waiting callers: a queue has room, a subscriber has ended, or the options have changed."""
        if self._change is not None:
            self._change.set_result(None)
            self._change = None

    async def close(self) -> None:
        """Release the waiting callers; return when none waits."""
        self._closed = True
        self.announce()
        while self._waiting:  # noqa: ASYNC110 the released callers need a turn of the loop
            await asyncio.sleep(0)
