"""A channel: a registered event with its subscribers, and the leases that keep the subscribers."""

from __future__ import annotations

import math
from typing import Literal

from evframe.delivery.subscriber import Subscriber
from evframe.events.event import EventDefinition

LeaseChange = Literal["made", "restored", "refreshed", "expired", "ended"]


class Channel(EventDefinition):
    """A registered event with its leases and consumers."""

    __slots__ = ("_targets", "consumers", "leases")

    def __init__(self, event_id: int, name: str) -> None:
        super().__init__(event_id, name)
        self.leases: dict[Subscriber, Subscription] = {}  # oldest first
        self.consumers: tuple[Subscriber, ...] = ()
        self._targets: tuple[Subscriber, ...] | None = ()

    @property
    def targets(self) -> tuple[Subscriber, ...]:
        """The subscribers of this event, the newest first."""
        targets = self._targets
        if targets is None:
            targets = self._targets = (*reversed(self.leases), *self.consumers)
            self.reads_params = any(subscriber.transport.limits.reads_params for subscriber in targets)
        return targets

    def invalidate_targets(self) -> None:
        """Drop the cached targets, because the leases or the consumers have changed."""
        self._targets = None


class Subscription:
    """A lease: one event to one subscriber, until *deadline* on the monotonic clock."""

    __slots__ = ("configured", "deadline", "event", "expire_s", "interface", "subscriber")

    def __init__(self, event: Channel, subscriber: Subscriber) -> None:
        self.event = event
        self.subscriber = subscriber
        self.configured: int | None = None  # the configured seconds, when the configuration holds the lease
        self.interface: str | None = None  # the management interface that made the lease, "" when it is not known
        self.expire_s = 0
        self.deadline = math.inf

    @property
    def is_client(self) -> bool:
        """Whether a run-time client has made the lease, and the configuration does not hold it."""
        return self.interface is not None and self.configured is None

    def remaining_s(self, now: float) -> int:
        """Whole seconds left, rounded up."""
        return max(0, math.ceil(self.deadline - now))
