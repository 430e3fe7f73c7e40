"""Says that deliveries to a subscriber fail, and that they work again, without filling the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evframe.events.event import Event
    from evframe.subscribers import Subscriber

log = logging.getLogger("evframe.delivery")
PERIOD_S: Final = 10.0


class Failures:
    """One line when a subscriber begins to fail, at most one every ten seconds after that.

    Args:
        changed: called when deliveries to a subscriber begin to fail, with the reason, and when
            they work again, with None; events that are declared `quiet` change nothing.
    """

    def __init__(self, changed: Callable[[Subscriber, str | None], None]) -> None:
        self._next: dict[tuple[Subscriber, str], float] = {}
        self._changed = changed

    def lost(
        self, subscriber: Subscriber, events: Sequence[Event], reason: str, error: BaseException | None = None
    ) -> None:
        """Tell that some of *events* were lost; what one that has left did not take is counted, and no trouble."""
        if reason == "unsubscribed":
            return
        self._fails(subscriber, events, reason)
        if self._is_due(subscriber, reason):
            log.warning(
                "events to a subscriber are lost",
                exc_info=error,
                extra={"socket": subscriber.socket.canonical, "reason": reason, "lost": subscriber.failed},
            )

    def away(self, subscriber: Subscriber, events: Sequence[Event], reason: str) -> None:
        """Tell that a subscriber cannot be reached; its events wait."""
        self._fails(subscriber, events, reason)
        if self._is_due(subscriber, "away"):
            log.warning(
                "a subscriber is away",
                extra={"socket": subscriber.socket.canonical, "reason": reason, "waiting": subscriber.depth},
            )

    def back(self, subscriber: Subscriber) -> None:
        """Tell that a subscriber that was away takes events again."""
        self._next.pop((subscriber, "away"), None)
        log.info(
            "a subscriber is back",
            extra={"socket": subscriber.socket.canonical, "waiting": subscriber.depth},
        )

    def works(self, subscriber: Subscriber, events: Sequence[Event]) -> None:
        """Tell that a subscriber that failed has taken *events*."""
        # One that is slow loses some and takes others in turn: it works once it has caught up by half.
        if subscriber.room < 2 * len(subscriber.queue) or all(event.definition.quiet for event in events):
            return
        subscriber.failing = False
        self._changed(subscriber, None)

    def _fails(self, subscriber: Subscriber, events: Sequence[Event], reason: str) -> None:
        if not subscriber.failing and not subscriber.ended and not all(event.definition.quiet for event in events):
            subscriber.failing = True
            self._changed(subscriber, reason)

    def _is_due(self, subscriber: Subscriber, what: str) -> bool:
        now = time.monotonic()
        if self._next.get((subscriber, what), 0.0) > now:
            return False
        if len(self._next) > 10_000:
            self._next = {key: at for key, at in self._next.items() if at > now}
        self._next[subscriber, what] = now + PERIOD_S
        return True
