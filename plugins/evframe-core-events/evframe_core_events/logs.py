"""Log lines as events: E_CORE_LOG."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from evframe.plugin import delivering, keys_text
from evframe_core_events.options import Options

LEVELS: Final = {-3: "ALERT", -2: "CRITICAL", -1: "ERROR", 1: "WARNING", 2: "NOTICE", 3: "INFO", 4: "DBG"}
_FROM_PYTHON: Final = ((60, -3), (logging.CRITICAL, -2), (logging.ERROR, -1), (logging.WARNING, 1), (25, 2))


def level_of(number: int) -> int:
    """Return the level of a Python level; 60 and above is ALERT, 25 to 29 NOTICE, of which Python has none."""
    for least, level in _FROM_PYTHON:
        if number >= least:
            return level
    return 3 if number >= logging.INFO else 4


class _MessageFormatter(logging.Formatter):
    """The text of an event's parameter: raw, since each transport encodes it in its own way."""

    def format(self, record: logging.LogRecord) -> str:
        line, keys = super().format(record), keys_text(record)
        return f"{line} {keys}" if keys else line


class RateLimit:
    """So many a second, and a count of the others; from any thread.

    Args:
        per_second: 0 for no limit.
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        """How many, from now on."""
        self._clock = clock
        self._lock = threading.RLock()  # a finaliser may log in the middle of it
        self._second = clock()
        self._count = 0
        self._lost = 0

    def allows(self) -> bool:
        """Return whether there is room for one more, which is counted."""
        if not self.per_second:
            return True
        with self._lock:
            now = self._clock()
            if now - self._second >= 1:
                self._second, self._count = now, 0
            if self._count < self.per_second:
                self._count += 1
                return True
            self._lost += 1
            return False

    def take_lost(self) -> int:
        """Return how many found no room since the last call."""
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost


class EventHandler(logging.Handler):
    """Raises an event for each line, except for those that come about by delivering events.

    Without this exception the lines that a route, a transport or the core writes about an event of
    a line would bring about the next one. Q-18: what was the case before is the case again afterwards.

    Args:
        options: the table ``[plugins.core-events]``.
        raise_log: raises the event with these parameters; from any thread.
        has_subscribers: whether the event has subscribers; called on the thread that attaches the handler.
        limit: the rate limit.
    """

    def __init__(
        self,
        options: Options,
        raise_log: Callable[[dict[str, Any]], None],
        has_subscribers: Callable[[], bool],
        limit: RateLimit,
    ) -> None:
        super().__init__()
        self.setFormatter(_MessageFormatter("%(message)s"))
        self.level_filter = options.log_event_level_filter
        self._options = options
        self._raise = raise_log
        self._has_subscribers = has_subscribers
        self._limit = limit
        self._logger = logging.getLogger(options.logger or None)
        self._thread = 0

    def attach(self) -> None:
        """Take the lines of the logger."""
        self._thread = threading.get_ident()
        self._logger.addHandler(self)

    def detach(self) -> None:
        """Take them no more."""
        self._logger.removeHandler(self)

    def adopt(self, options: Options) -> None:
        """Continue with other options; the level that a command has set stays, unless that of the options changes."""
        is_attached = self in self._logger.handlers
        self.detach()
        if options.log_event_level_filter != self._options.log_event_level_filter:
            self.level_filter = options.log_event_level_filter
        self._options = options
        self._limit.per_second = options.log_rate_limit
        self._logger = logging.getLogger(options.logger or None)
        if is_attached:
            self.attach()

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a line, without a lock of the handler: a raise has one, and its owner may log."""
        if delivering.get() or not self.filter(record):
            return False
        level = level_of(record.levelno)
        if self.level_filter and level > self.level_filter:
            return False
        if threading.get_ident() == self._thread and not self._has_subscribers():
            return False
        if self._limit.allows():
            self._guarded(lambda: self._params(record, level), record)
        return True

    def raise_lost(self) -> None:
        """Raise an event with the number of lines that the limit has dropped since the last such event, if any."""
        lost = self._limit.take_lost()
        if lost:
            text = f"{lost} log lines were over log_rate_limit and raised no event"
            record = logging.LogRecord(
                "evframe.core-events", logging.WARNING, __file__, 0, text, None, None, "raise_lost"
            )
            self._guarded(lambda: self._params(record, 1), record)

    def _guarded(self, params: Callable[[], dict[str, Any]], record: logging.LogRecord) -> None:
        """Raise the event; what is logged on the way raises none."""
        token = delivering.set(True)
        try:
            self._raise(params())
        except Exception:  # noqa: BLE001 as every handler does
            self.handleError(record)
        finally:
            delivering.reset(token)

    def _params(self, record: logging.LogRecord, level: int) -> dict[str, Any]:
        params = {
            "time": time.ctime(record.created)[4:19],
            "pid": record.process or os.getpid(),
            "level": LEVELS[level],
            "module": record.name,
        }
        if record.funcName:
            params["function"] = record.funcName
        if self._options.log_prefix:
            params["prefix"] = f"{self._options.log_prefix}:"
        text = self.format(record).removesuffix("\n").encode("utf-8", "replace")
        params["message"] = text[: self._options.log_msg_buf_size].decode("utf-8", "ignore")
        return params
