"""Reports that events are lost, and that a peer is away or back: log lines at a limited rate, and a hook."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Final

from evframe_timing import LogLimiter

if TYPE_CHECKING:
    from evframe.delivery.subscriber import Subscriber
    from evframe.events.event import Event

log = logging.getLogger("evframe.delivery")
_AWAY: Final = object()
_REASONS: Final = 16  # reasons of one subscriber that the rate limit of the log distinguishes


class Reports:
    """Logs one line when deliveries to a subscriber begin to fail, then at most one line every ten seconds.

    Args:
        changed: called when deliveries to a subscriber begin to fail, with the reason and the event, and when
            they work again, with None for both; events that are declared `is_meta` change nothing.
        dead: see `evframe.delivery.subscriber.Reporter`.
    """

    def __init__(
        self,
        changed: Callable[[Subscriber, str | None, Event | None], None],
        dead: Callable[[Subscriber, Sequence[Event], Sequence[str], BaseException | None], None],
    ) -> None:
        self.changed = changed
        self.dead = dead
        self._limiters: dict[Subscriber, LogLimiter] = {}

    def lost(self, subscriber: Subscriber, reason: str, error: BaseException | None) -> None:
        """Log that events were lost, or are dead letters; *error* is that of the plugin which delivers them."""
        repeated = self._due(subscriber, reason)
        if repeated is not None:
            plugin = getattr(subscriber.transport, "name", "")
            is_kept = subscriber.keeps(reason)
            log.warning(
                "events to a subscriber are dead letters" if is_kept else "events to a subscriber are lost",
                exc_info=error,
                extra={
                    "socket": subscriber.socket.canonical,
                    "reason": reason,
                    "failed" if is_kept else "lost": subscriber.failed,
                    "repeated": repeated,
                    **({} if error is None else {"plugin": plugin, "hook": "deliver"}),
                },
            )

    def away(self, subscriber: Subscriber, reason: str) -> None:
        """Log that a subscriber cannot be reached and that its events wait."""
        repeated = self._due(subscriber, _AWAY)
        if repeated is not None:
            socket, waiting = subscriber.socket.canonical, subscriber.depth
            extra = {"socket": socket, "reason": reason, "waiting": waiting, "repeated": repeated}
            log.warning("a subscriber is away", extra=extra)

    def back(self, subscriber: Subscriber) -> None:
        """Log that a subscriber that was away accepts events again."""
        limiter = self._limiters.get(subscriber)
        if limiter is not None:
            limiter.forget(_AWAY)
        extra = {"socket": subscriber.socket.canonical, "waiting": subscriber.depth}
        log.info("a subscriber is back", extra=extra)

    def forget(self, subscriber: Subscriber) -> None:
        """Remove the state of a subscriber that has ended."""
        self._limiters.pop(subscriber, None)

    def _due(self, subscriber: Subscriber, what: Hashable) -> int | None:
        limiter = self._limiters.get(subscriber)
        if limiter is None:
            limiter = self._limiters[subscriber] = LogLimiter(most=_REASONS)
        return limiter.due(what)
