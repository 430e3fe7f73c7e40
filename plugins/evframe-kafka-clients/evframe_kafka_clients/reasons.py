"""Words for why topics are not consumed."""

from __future__ import annotations

import re

from aiokafka import errors
from evframe_wire.addresses import connection_problem

from evframe import Unavailable


def reason_of(error: BaseException) -> str:
    """Return the word for what went wrong."""
    if isinstance(error, Unavailable):
        return error.reason
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, errors.KafkaConnectionError):
        return "closed"
    if isinstance(error, OSError):
        return connection_problem(error)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()
