"""The log of a worker, whose lines the front logs."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from typing import Any, Final

from evframe_workers import messages

_PLAIN: Final = (str, int, float, bool, type(None))


class Forwarding(logging.Handler):
    """Sends each line to the front.

    Args:
        write: sends a message.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line; values that are not plain are sent as texts."""
        try:
            fields = vars(record) | {"msg": record.getMessage(), "args": None, "exc_info": None}
            if record.exc_info:
                fields["stack_info"] = logging.Formatter().formatException(record.exc_info)
            plain = {name: value if isinstance(value, _PLAIN) else str(value) for name, value in fields.items()}
            self._write(messages.packed(messages.LOG, pickle.dumps(plain | {"args": None, "exc_info": None})))
        except Exception:  # noqa: BLE001 as other handlers of the standard library do
            self.handleError(record)


def log_again(content: bytes, worker: int) -> None:
    """Log a line of worker number *worker*."""
    fields: dict[str, Any] = pickle.loads(content)  # noqa: S301 of a process that this one has started
    record = logging.makeLogRecord(fields | {"worker": worker})
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
