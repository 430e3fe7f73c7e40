"""Subscribers that have ended: their events expire after a time, a slice of them in each turn of the loop."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Final

from evframe_timing import Alarm

from evframe.delivery.subscriber import Subscriber

SLICE_EVENTS: Final = 1024
LATE_S: Final = 1.0
"""How long a delivery may take to end after it was cancelled."""


class Ends:
    """The subscribers that have ended and are not done, with the time that each has left.

    Args:
        cut: called with a subscriber whose time is over, after its waiting events were counted as failed.
        context: the context in which *cut* and the callbacks with outcomes run.
    """

    def __init__(self, cut: Callable[[Subscriber], None], context: Context) -> None:
        self._cut = cut
        # In order, because each subscriber gets the same time. Removing the first entries of a plain dict is quadratic.
        self._deadlines: OrderedDict[Subscriber, float] = OrderedDict()
        self.alarm = Alarm(self._expire, context)
        """The timer."""

    def start(self, after_s: float) -> None:
        """Start the timer; subscribers that have ended before get *after_s* seconds from now."""
        self.alarm.start()
        for subscriber in list(self._deadlines):
            self.add(subscriber, after_s)

    def add(self, subscriber: Subscriber, after_s: float) -> None:
        """Give *subscriber* *after_s* seconds from now, or from the start."""
        self._deadlines.pop(subscriber, None)
        self._deadlines[subscriber] = time.monotonic() + after_s
        self.alarm.set(after_s)

    def discard(self, subscriber: Subscriber) -> None:
        """Remove a subscriber that has no events left, or has a lease again."""
        self._deadlines.pop(subscriber, None)

    def _expire(self) -> None:
        now, left = time.monotonic(), SLICE_EVENTS
        while self._deadlines and left > 0:
            subscriber, at = next(iter(self._deadlines.items()))
            if at > now:
                break
            left -= 1
            if subscriber.ended:
                left -= subscriber.fail_waiting("unsubscribed", left)
                if subscriber.queue:
                    break  # the next turn handles the rest, so that the loop is not held up
            self._deadlines.pop(subscriber, None)
            if subscriber.ended:
                self._cut(subscriber)
        if self._deadlines:
            self.alarm.set(next(iter(self._deadlines.values())) - now)

    def stop(self) -> None:
        """Stop the timer; the drain counts the events of the remaining subscribers."""
        self.alarm.stop()
        self._deadlines.clear()


async def emptied(subscribers: Callable[[], Sequence[Subscriber]], timeout_s: float) -> None:
    """Wait until *subscribers*, more of which may come, have no events left, for at most *timeout_s* seconds."""
    until = time.monotonic() + timeout_s
    left = list(subscribers())
    while left and time.monotonic() < until:
        while left and not left[-1].depth:
            left.pop()
        left = left or [subscriber for subscriber in subscribers() if subscriber.depth]
        if left:  # polling: an asyncio.Event for each batch would slow every delivery
            await asyncio.sleep(0.005)


async def cancel(futures: Sequence[asyncio.Future[None]], timeout_s: float) -> None:
    """Cancel *futures* and wait for their ends, for at most *timeout_s* seconds.

    A delivery may continue to wait for the work of a thread; after the timeout a second cancellation ends it.
    """
    until = time.monotonic() + timeout_s
    for start in range(0, len(futures), SLICE_EVENTS):
        cancelled = futures[start : start + SLICE_EVENTS]
        for future in cancelled:
            future.cancel()
        await asyncio.wait(cancelled, timeout=max(0.0, until - time.monotonic()))
        await asyncio.sleep(0)  # the callbacks of the ended futures run in this turn
    cancel_again(futures)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def cancel_again(futures: Sequence[asyncio.Future[None]]) -> None:
    """Cancel those of *futures* that have continued after their first cancellation."""
    for future in futures:
        if not future.done():
            future.cancel()


async def lose(subscribers: Sequence[Subscriber], reason: str) -> None:
    """Count the events that wait for *subscribers* as failed with *reason*."""
    left = SLICE_EVENTS
    for subscriber in subscribers:
        left -= 1 + subscriber.fail_waiting(reason, left)
        while subscriber.queue or left <= 0:
            await asyncio.sleep(0)
            left = SLICE_EVENTS
            left -= subscriber.fail_waiting(reason, left)
