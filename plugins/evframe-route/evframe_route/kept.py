"""Kept events that a route fails: they are tried again, and a poisoned one does not hold up the others for ever."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from evframe import Batch, Event, Rejected, Unavailable
from evframe.plugin import LogLimiter

log = logging.getLogger("evframe.route")
_MOST_DOUBTFUL: Final = 100


class Outcomes(Protocol):
    """What a runner needs of a batch."""

    @property
    def events(self) -> Sequence[Event]:
        """The events of the batch."""

    def fail(self, index: int, reason: str, error: BaseException | None = None) -> None:
        """Take the failure of an event."""


class Persistence:
    """Remembers since when a route fails the event that is its next one.

    Args:
        name: of the route.
        retry_s: after how long the route may be found to take other events; that one has failed then.
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, name: str, retry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._retry_s = retry_s
        self._clock = clock
        self._raised_at = 0.0  # of the event
        self._since = 0.0
        self._limiter = LogLimiter()

    def is_over(self, event: Event, error: BaseException | None) -> bool:
        """Return whether *event* was tried for long enough; log why it has failed now."""
        repeated = self._limiter.due(self._name)
        if repeated is not None:
            log.error("a route fails", extra={"route": self._name, "repeated": repeated}, exc_info=error)
        if self._raised_at != event.raised_at:
            self._raised_at, self._since = event.raised_at, self._clock()
        return self._clock() - self._since >= self._retry_s


class KeptOutcomes:
    """Takes the failures of one attempt at a batch.

    The first event that fails ends the attempt. Once it was tried for long enough, those behind it are tried as well:
    when the route takes one of them, the event is to blame and has failed; else the route is, and all come back.
    """

    def __init__(self, batch: Batch, persistence: Persistence) -> None:
        self._batch = batch
        self._persistence = persistence
        self.events = batch.events
        """The events of the batch."""
        self._first: tuple[int, str, BaseException | None] | None = None  # that was tried for long enough
        self._doubtful = 0  # it, and those behind it that have failed

    def fail(self, index: int, reason: str, error: BaseException | None = None) -> None:
        """Take the failure of an event.

        Raises:
            Unavailable: if this ends the attempt.
        """
        self._judge(index)
        if isinstance(error, Rejected):  # the route says that no attempt can mend it
            self._batch.fail(index, error.reason, error)
            return
        if self._first is None:
            if not self._persistence.is_over(self.events[index], error):
                raise Unavailable(reason, done=index)
            self._first = index, reason, error
        self._doubtful += 1
        if self._doubtful >= _MOST_DOUBTFUL:
            raise Unavailable(reason, done=self._first[0])

    def fail_held_up(self, index: int, reason: str) -> None:
        """Take the failure of an event that holds the route up, so that no other one can be tried.

        Raises:
            Unavailable: if it is tried again.
        """
        if not self._persistence.is_over(self.events[index], None):
            raise Unavailable(reason, done=index)
        self._batch.fail(index, reason)

    def end(self) -> None:
        """End the attempt.

        Raises:
            Unavailable: if events are tried again.
        """
        self._judge(len(self.events))
        if self._first is not None:
            raise Unavailable(self._first[1], done=self._first[0])

    def _judge(self, end: int) -> None:
        """Count the first event that has failed as failed if the route has taken one since, before the index *end*."""
        if self._first is None or self._first[0] + self._doubtful == end:
            return
        index, reason, error = self._first
        self._batch.fail(index, reason, error)
        if self._doubtful > 1:  # the next one was not tried for long; those behind it come again, to keep the order
            raise Unavailable(reason, done=index + 1)
        self._first, self._doubtful = None, 0
