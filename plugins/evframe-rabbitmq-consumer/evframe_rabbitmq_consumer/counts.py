"""What has happened to the messages of a queue."""

from __future__ import annotations

from collections import Counter

import attrs

from evframe_rabbitmq_consumer.options import Answer


@attrs.define
class Counts:
    """What has happened on all connections to a queue."""

    received: int = 0
    """Messages that have come."""
    redelivered: int = 0
    """How many of them had been delivered before, to whomever."""
    waiting: int = 0
    """Events whose outcomes are not known yet."""
    answers: Counter[Answer] = attrs.field(factory=Counter)
    """Messages whose answer was sent, by the answer."""
