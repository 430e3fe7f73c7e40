"""The outcome of one event at each of its subscribers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from evframe.calls import comes_from_outside

if TYPE_CHECKING:
    from evframe.delivery.subscribers import Subscriber
    from evframe.events.event import Event

log = logging.getLogger("evframe.delivery")


@attrs.frozen
class Outcome:
    """The outcome of one event at one subscriber: delivered when *reason* is None."""

    socket: str
    reason: str | None

    @property
    def delivered(self) -> bool:
        """Whether the far side has the event, as far as its transport can know."""
        return self.reason is None


class OutcomeWait:
    """Collects the outcomes of *event*; make it before the event is queued."""

    def __init__(self, event: Event, subscribers: Sequence[Subscriber]) -> None:
        loop = asyncio.get_running_loop()
        self._event = event  # kept, so that no other event has its id
        self._waits: list[tuple[Subscriber, asyncio.Future[str | None]]] = []
        for subscriber in subscribers:
            future: asyncio.Future[str | None] = loop.create_future()
            subscriber.wait_for(event, future.set_result)
            self._waits.append((subscriber, future))

    async def report(self, timeout_s: float | None) -> list[Outcome]:
        """Return one outcome for each subscriber; after *timeout_s* seconds those that are open are `pending`."""
        if self._waits:
            await asyncio.wait([future for _, future in self._waits], timeout=timeout_s)
        return [
            Outcome(subscriber.socket.canonical, future.result() if future.done() else "pending")
            for subscriber, future in self._waits
        ]

    def close(self) -> None:
        """Wait no more."""
        for subscriber, _ in self._waits:
            if subscriber.waiting is not None:
                subscriber.waiting.pop(id(self._event), None)
                subscriber.waiting = subscriber.waiting or None


class OutcomeCallback:
    """Calls *done* once, when *event* has an outcome at each of *subscribers*; make it before the event is queued.

    *done* gets the reason of each failure, and None for each delivery. *done* runs within the
    delivery and must therefore return quickly; an error that it raises is logged.
    """

    __slots__ = ("_done", "_event", "_open", "_reasons")

    def __init__(
        self, event: Event, subscribers: Sequence[Subscriber], done: Callable[[Sequence[str | None]], None]
    ) -> None:
        self._event = event  # kept, so that no other event has its id
        self._open = len(subscribers)
        self._reasons: list[str | None] = []
        self._done = done
        if not subscribers:
            self._call()
        for subscriber in subscribers:
            subscriber.wait_for(event, self._take)

    def _take(self, reason: str | None) -> None:
        self._reasons.append(reason)
        self._open -= 1
        if not self._open:
            self._call()

    def _call(self) -> None:
        try:
            self._done(self._reasons)
        except BaseException as error:
            if comes_from_outside(error):
                raise
            log.exception("what was to be called with an event's outcome raised an error")
