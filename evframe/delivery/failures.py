"""Logs that deliveries to a subscriber fail, and that they work again, at a limited rate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Final

from evframe.delivery.subscribers import plugin_of
from evframe.log_limit import LogLimiter

if TYPE_CHECKING:
    from evframe.delivery.subscribers import Subscriber
    from evframe.events.event import Event

log = logging.getLogger("evframe.delivery")
_AWAY: Final = object()
_REASONS: Final = 16  # reasons of one subscriber that the rate limit of the log distinguishes


class Failures:
    """Logs one line when deliveries to a subscriber begin to fail, then at most one line every ten seconds.

    Args:
        changed: called when deliveries to a subscriber begin to fail, with the reason, and when
            they work again, with None; events that are declared `quiet` change nothing.
    """

    def __init__(self, changed: Callable[[Subscriber, str | None], None]) -> None:
        self._next: dict[Subscriber, LogLimiter] = {}
        self._changed = changed

    def lost(
        self, subscriber: Subscriber, events: Sequence[Event], reason: str, error: BaseException | None = None
    ) -> None:
        """Log that some of *events* were lost.

        Nothing is logged for a probe, which has no events, or for a subscriber that has unsubscribed.
        """
        if reason == "unsubscribed" or not events:
            return
        self._fails(subscriber, events, reason)
        repeated = self._due(subscriber, reason)
        if repeated is not None:
            log.warning(
                "events to a subscriber are lost",
                exc_info=error,
                extra={
                    "socket": subscriber.socket.canonical,
                    "reason": reason,
                    "lost": subscriber.failed,
                    "repeated": repeated,
                    **({} if error is None else {"plugin": plugin_of(subscriber), "hook": "deliver"}),
                },
            )

    def away(self, subscriber: Subscriber, events: Sequence[Event], reason: str) -> None:
        """Log that a subscriber cannot be reached and that its events wait."""
        self._fails(subscriber, events, reason)
        repeated = self._due(subscriber, _AWAY)
        if repeated is not None:
            log.warning(
                "a subscriber is away",
                extra={
                    "socket": subscriber.socket.canonical,
                    "reason": reason,
                    "waiting": subscriber.depth,
                    "repeated": repeated,
                },
            )

    def back(self, subscriber: Subscriber) -> None:
        """Log that a subscriber that was away accepts events again."""
        limiter = self._next.get(subscriber)
        if limiter is not None:
            limiter.forget(_AWAY)
        log.info(
            "a subscriber is back",
            extra={"socket": subscriber.socket.canonical, "waiting": subscriber.depth},
        )

    def works(self, subscriber: Subscriber, events: Sequence[Event]) -> None:
        """Report that *events* were delivered to a subscriber whose deliveries failed before."""
        # A slow subscriber loses and takes events in turn; report success only when its queue is half empty again.
        if subscriber.room < 2 * len(subscriber.queue) or all(event.definition.quiet for event in events):
            return
        subscriber.failing = False
        self._changed(subscriber, None)

    def _fails(self, subscriber: Subscriber, events: Sequence[Event], reason: str) -> None:
        if not subscriber.failing and not subscriber.ended and not all(event.definition.quiet for event in events):
            subscriber.failing = True
            self._changed(subscriber, reason)

    def forget(self, subscriber: Subscriber) -> None:
        """Remove the state of a subscriber that has ended."""
        self._next.pop(subscriber, None)

    def _due(self, subscriber: Subscriber, what: Hashable) -> int | None:
        limiter = self._next.get(subscriber)
        if limiter is None:
            limiter = self._next[subscriber] = LogLimiter(most=_REASONS)
        return limiter.due(what)
