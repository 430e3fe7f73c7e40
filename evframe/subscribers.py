"""A subscriber: one socket with its queue and counters, and the leases that keep it."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from evframe.events import Event, EventDefinition
    from evframe.sockets import Socket

Overflow = Literal["drop_oldest", "drop_newest", "block"]


class Subscriber:
    """Everything that is delivered to one socket: the queue, its bound, the counters.

    A queue is made at the first event, so that idle subscriptions stay small.
    """

    __slots__ = (
        "attempts",
        "delivered",
        "ended",
        "failed",
        "idle",
        "in_flight",
        "leases",
        "queue",
        "raised",
        "reasons",
        "room",
        "socket",
        "waiting",
    )

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.queue: deque[Event] | tuple[()] = ()
        self.room = 0
        self.idle = True
        self.ended = False
        self.attempts = 0
        self.leases = 0
        self.in_flight = 0
        self.raised = 0
        self.delivered = 0
        self.failed = 0
        self.reasons: dict[str, int] | None = None
        self.waiting: dict[int, Callable[[str | None], Any]] | None = None

    @property
    def depth(self) -> int:
        """How many events wait or are under way."""
        return len(self.queue) + self.in_flight

    def settle(self, event: Event, reason: str | None) -> None:
        """Record one event's outcome: delivered for None, else failed with *reason*."""
        if reason is None:
            self.delivered += 1
        else:
            self.failed += 1
            if self.reasons is None:
                self.reasons = {}
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if self.waiting is not None:
            tell = self.waiting.pop(id(event), None)
            if tell is not None:
                tell(reason)


class Subscription:
    """A lease: one event to one subscriber, until *deadline* on the monotonic clock."""

    __slots__ = ("deadline", "event", "expire_s", "subscriber")

    def __init__(self, event: EventDefinition, subscriber: Subscriber) -> None:
        self.event = event
        self.subscriber = subscriber
        self.expire_s = 0
        self.deadline = math.inf

    def remaining_s(self, now: float) -> int:
        """Whole seconds left, rounded up."""
        return max(0, math.ceil(self.deadline - now))
