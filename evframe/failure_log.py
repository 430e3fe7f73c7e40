"""Says that a subscriber fails, and that it is back, without filling the log."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evframe.subscribers import Subscriber

log = logging.getLogger("evframe.delivery")
PERIOD_S: Final = 10.0


class FailureLog:
    """One line when a subscriber begins to fail, at most one every ten seconds after that."""

    def __init__(self) -> None:
        self._next: dict[tuple[Subscriber, str], float] = {}

    def lost(self, subscriber: Subscriber, reason: str, error: BaseException | None = None) -> None:
        """Tell that events were lost."""
        if self._is_due(subscriber, reason):
            log.warning(
                "events to a subscriber are lost",
                exc_info=error,
                extra={"socket": subscriber.socket.canonical, "reason": reason, "lost": subscriber.failed},
            )

    def away(self, subscriber: Subscriber, reason: str) -> None:
        """Tell that a subscriber cannot be reached; its events wait."""
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

    def _is_due(self, subscriber: Subscriber, what: str) -> bool:
        now = time.monotonic()
        if self._next.get((subscriber, what), 0.0) > now:
            return False
        if len(self._next) > 10_000:
            self._next = {key: at for key, at in self._next.items() if at > now}
        self._next[subscriber, what] = now + PERIOD_S
        return True
