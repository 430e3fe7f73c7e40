"""Whether a source of messages can be consumed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from evframe.plugin import LogLimiter, StatusGroup

log = logging.getLogger("evframe.ingest")
_NOT_CONSUMED, _CONSUMED = -1, 1
_REPORTS: Final = 20


class Availability:
    """The status of a source of messages; each change is logged.

    Args:
        statuses: the statuses of the plugin.
        name: the name of the source.
        broker: the address of the broker, without secrets.
        clock: the monotonic clock, in seconds.
    """

    def __init__(
        self, statuses: StatusGroup, name: str, broker: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._statuses = statuses
        self._name = name
        self._extra = {"source": name, "broker": broker}
        self._limiter = LogLimiter(clock=clock)
        self._identifier = statuses.add(name, _NOT_CONSUMED, "connecting", reports=_REPORTS)

    @property
    def consumed(self) -> bool:
        """Whether the source is consumed."""
        return self._identifier.ready

    @property
    def details(self) -> str:
        """The status in one word."""
        return str(self._identifier.details)

    def begins(self) -> None:
        """Report that messages are consumed."""
        self._set(_CONSUMED, "consuming")
        log.info("messages are consumed", extra=self._extra)

    def ends(self, reason: str) -> None:
        """Report that no messages are consumed; an unchanged reason is logged every ten seconds."""
        if reason != self.details:
            self._limiter.forget(reason)
        self._set(_NOT_CONSUMED, reason)
        repeated = self._limiter.due(reason)
        if repeated is not None:
            log.warning("messages are not consumed", extra={**self._extra, "reason": reason, "repeated": repeated})

    def _set(self, status: int, details: str) -> None:
        if details != self.details:
            self._statuses.report(details, self._name)
        self._statuses.set_status(status, details, self._name)
