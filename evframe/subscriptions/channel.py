"""A channel: a registered event with those who get it, and the leases that keep them."""

from __future__ import annotations

import math
from typing import Literal

from evframe.delivery.subscribers import Subscriber
from evframe.events.event import EventDefinition

LeaseChange = Literal["made", "restored", "refreshed", "expired", "ended"]


class Channel(EventDefinition):
    """A registered event with its leases and listeners."""

    __slots__ = ("_targets", "leases", "listeners")

    def __init__(self, event_id: int, name: str) -> None:
        super().__init__(event_id, name)
        self.leases: dict[Subscriber, Subscription] = {}  # oldest first
        self.listeners: tuple[Subscriber, ...] = ()
        self._targets: tuple[Subscriber, ...] | None = ()

    @property
    def targets(self) -> tuple[Subscriber, ...]:
        """The subscribers of this event, the newest first."""
        targets = self._targets
        if targets is None:
            targets = self._targets = (*reversed(self.leases), *self.listeners)
            self.reads_params = any(subscriber.transport.reads_params for subscriber in targets)
        return targets

    def invalidate_targets(self) -> None:
        """Have the targets put together anew: the leases or the listeners have changed."""
        self._targets = None


class Subscription:
    """A lease: one event to one subscriber, until *deadline* on the monotonic clock.

    *due* is when the timer looks at the lease next; a refresh leaves it, so that a lease
    which is refreshed often costs the timer nothing.
    """

    __slots__ = ("configured", "deadline", "due", "event", "expire_s", "interface", "subscriber")

    def __init__(self, event: Channel, subscriber: Subscriber) -> None:
        self.event = event
        self.subscriber = subscriber
        self.configured: int | None = None  # the seconds that the configuration gives it, when it holds it
        self.interface: str | None = None  # the management interface that made it, "" for one that is not known
        self.expire_s = 0
        self.deadline = math.inf
        self.due = math.inf

    @property
    def is_client(self) -> bool:
        """Whether a run-time client has made it, and the configuration does not hold it."""
        return self.interface is not None and self.configured is None

    def __lt__(self, other: Subscription) -> bool:
        return False  # entries of the same time are in no order

    def remaining_s(self, now: float) -> int:
        """Whole seconds left, rounded up."""
        return max(0, math.ceil(self.deadline - now))
