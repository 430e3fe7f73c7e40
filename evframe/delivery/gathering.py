"""Subscribers whose events wait a moment for others, so that a batch has many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evframe.delivery.subscribers import Subscriber

GATHER_S: Final = 0.002


class Gathering:
    """Lets the events of a subscriber wait for at most `GATHER_S` after its last batch has begun.

    A batch that is awaited takes 20 to 150 µs whatever its size. With one event in each turn of the loop, each turn
    would begin one. An event that comes after a pause never waits.

    Args:
        release: called with each subscriber whose time is over, in *context*.
        context: see there.
    """

    def __init__(self, release: Callable[[Subscriber], None], context: Context) -> None:
        self._release = release
        self._context = context
        self._subscribers: dict[Subscriber, None] = {}
        self._timer: asyncio.TimerHandle | None = None  # one for all, or each batch would set one

    def add(self, subscriber: Subscriber, loop: asyncio.AbstractEventLoop) -> None:
        """Have *subscriber* wait; its last batch begins now."""
        self._subscribers[subscriber] = None
        if self._timer is None:
            self._timer = loop.call_later(GATHER_S, self.stop, context=self._context)

    def __contains__(self, subscriber: Subscriber) -> bool:
        return subscriber in self._subscribers

    def stop(self) -> None:
        """Release all that wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        subscribers, self._subscribers = self._subscribers, {}
        for subscriber in subscribers:
            self._release(subscriber)
