"""Waiting for room in the queues, for those that raise with `overflow = "block"`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from evframe_timing import Turns

if TYPE_CHECKING:
    from evframe.delivery.subscriber import Subscriber
    from evframe.events.event import Event

_AT_ONCE: Final = 64  # bounds how many are woken in vain where bytes, and not places, are short


class Room:
    """Holds callers that raise until each queue that their event goes to has room."""

    def __init__(self) -> None:
        self._turns: Turns[Subscriber] = Turns()
        self._closed = False
        self.is_used = False
        """Whether the policy is to wait."""

    async def wait(self, event: Event, targets: Callable[[], Iterable[Subscriber]]) -> None:
        """Return when each of *targets* has room for *event*; subscribers that have ended do not count.

        The wait also ends when the overflow policy changes.
        """

        def full() -> Subscriber | None:
            if not self.is_used or self._closed:
                return None
            return next((each for each in targets() if each.blocks(event)), None)

        await self._turns.wait(full)

    def announce(self) -> None:
        """Wake as many of the waiting callers as the queues have places."""
        if self.is_used:
            self._turns.give_at_most(_places)

    def release(self, subscriber: Subscriber) -> None:
        """Wake the callers that wait for *subscriber*, which has ended, or gets an event no more."""
        self._turns.give(subscriber)

    def release_all(self) -> None:
        """Wake all callers, because the options have changed."""
        self._turns.give_all()

    async def close(self) -> None:
        """Release the waiting callers; return when none waits."""
        self._closed = True
        self.release_all()
        while len(self._turns):  # noqa: ASYNC110 the released callers need a turn of the loop
            await asyncio.sleep(0)


def _places(subscriber: Subscriber) -> int:
    """Return for how many callers the queue may have room; one with rules is asked again by each."""
    queue = subscriber.queue
    return _AT_ONCE if queue.is_own else min(_AT_ONCE, queue.room - len(queue))
