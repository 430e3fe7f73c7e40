"""Subscribers whose events wait a moment for further events, so that batches are larger."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Final

from evframe_timing import Alarm

if TYPE_CHECKING:
    from evframe.delivery.subscriber import Subscriber

GATHER_S: Final = 0.002


class Gathering:
    """Lets the events of a subscriber wait for at most `GATHER_S` after its last batch has begun.

    An awaited batch takes 20 to 150 µs whatever its size; without gathering, each turn of the loop with one event
    would begin a batch. An event that comes after a pause never waits.

    Args:
        release: called with each subscriber whose time is over, in *context*.
        context: the context in which *release* is called.
    """

    def __init__(self, release: Callable[[Subscriber], None], context: Context) -> None:
        self._release = release
        self._subscribers: dict[Subscriber, None] = {}
        self.alarm = Alarm(self.release, context)  # one for all: a timer for each batch would cost more

    def add(self, subscriber: Subscriber) -> None:
        """Let *subscriber*, whose last batch begins now, wait for more events."""
        if not self._subscribers:
            self.alarm.set(GATHER_S)
        self._subscribers[subscriber] = None

    def __contains__(self, subscriber: Subscriber) -> bool:
        return subscriber in self._subscribers

    def release(self) -> None:
        """Release all waiting subscribers."""
        subscribers, self._subscribers = self._subscribers, {}
        for subscriber in subscribers:
            self._release(subscriber)
