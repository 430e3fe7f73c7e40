"""The gateway's log: readable on a terminal, JSON lines otherwise."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import orjson
from evframe_timing import LogLimiter
from evframe_wire.visible import brief, is_terminal, visible, visible_json, visible_lines

# Of the class, because a factory of records that a library has set, such as one for trace ids, adds further keys.
_OWN: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _OWN}


def keys_text(record: logging.LogRecord) -> str:
    """Return the extra keys of a record with their values, without escaping."""
    return "".join(f" {key}={_text(value)}" for key, value in _extra(record).items())


class TextFormatter(logging.Formatter):
    """One line for a person: time, level, logger, sentence and the keys; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, escaped so that text from outside can neither begin another line nor move the cursor."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        keys = keys_text(record)
        parts = [visible(f"{self.formatMessage(record)} {keys}" if keys else self.formatMessage(record))]
        if record.exc_info:
            parts.append(visible_lines(f"  {self.formatException(record.exc_info)}"))
        if record.stack_info:
            parts.append(visible_lines(f"  {record.stack_info}"))
        return "\n".join(parts)


class JsonFormatter(logging.Formatter):
    """One JSON object for a program."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {f"extra_{key}" if key in fields else key: value for key, value in _extra(record).items()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return visible_json(_json(fields))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 an error in one value must not lose the line
        return brief(value)


def _json(fields: dict[str, object]) -> str:
    try:
        return orjson.dumps(fields, default=_text).decode()
    except TypeError:  # a surrogate, an integer beyond 64 bits, or a container that orjson does not take
        return json.dumps({name: _text(value) for name, value in fields.items()})


class Repetitions(logging.Filter):
    """Passes the same warning once in ten seconds; the next one has the number of held-back lines as ``repeated``.

    A library that has lost its server may log each attempt. The lines of evframe are limited where
    they are logged.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._limiter = LogLimiter(clock=clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is logged."""
        if record.levelno < logging.WARNING or record.name.partition(".")[0] == "evframe":
            return True
        repeated = self._limiter.due((record.name, record.getMessage()))
        if repeated:
            record.repeated = repeated
        return repeated is not None


def set_up_logs(level: str) -> None:
    """Send every log line of *level* and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repetitions())
    text = TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(text if is_terminal(sys.stderr) else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def fold_libraries(names: Iterable[str]) -> None:
    """Drop the lines of the loggers *names* of libraries, unless the log is at DEBUG.

    The plugins of these libraries log each problem in one line with its reason.
    """
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        for logger in map(logging.getLogger, names):
            if logger.level == logging.NOTSET:  # else a management command has set it
                logger.setLevel(logging.CRITICAL + 1)
