"""A channel: a registered event with its subscribers, and the leases that keep the subscribers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import attrs
from evframe_declarations import EventType

from evframe.config.policy import NONE as NO_POLICY
from evframe.config.policy import Policy
from evframe.delivery.subscriber import Subscriber
from evframe.events.event import Event, EventDefinition, Tracing

Select = Callable[[Event], Iterable[tuple[Event, Sequence[Subscriber]]]]
"""Returns what subscribers get of an event: the event or one with fewer parameters, each with its subscribers."""


class Filter(Protocol):
    """Which events a lease gets."""

    @property
    def equality(self) -> tuple[str, Any] | None:
        """A parameter and its value that each event for which the filter is true has; None when none is known."""

    def matches(self, params: Mapping[str, Any], event: str) -> bool:
        """Return whether the lease gets an event with these parameters; those without names are `p1`, `p2` and so on.

        It never raises: an event that it cannot be asked about does not match.
        """


LeaseChange = Literal["made", "restored", "refreshed", "expired", "ended"]


class Channel(EventDefinition):
    """A registered event with its leases and consumers."""

    __slots__ = ("_rest", "_targets", "consumers", "leases", "select", "tracing")

    def __init__(self, event_id: int, name: str) -> None:
        super().__init__(event_id, name)
        self.tracing: Tracing | None = None  # keeps the contexts of events
        self.select: Select | None = None
        """Returns what the leases with selective policies get of an event; None when no lease has one."""
        self._rest: tuple[Subscriber, ...] | None = None
        self.leases: dict[Subscriber, Subscription] = {}  # oldest first
        self.consumers: tuple[Subscriber, ...] = ()
        self._targets: tuple[Subscriber, ...] | None = ()

    def trace_by(self, tracing: Tracing | None) -> None:
        """Have *tracing* keep the contexts of events; None for none."""
        self.tracing = tracing
        # Another class, because the question whether there is one would cost each raise some nanoseconds.
        self.__class__ = Channel if tracing is None else _TracedChannel

    @property
    def has_targets(self) -> bool:
        """Whether the event has subscribers."""
        return bool(self.leases or self.consumers)

    @property
    def targets(self) -> tuple[Subscriber, ...]:
        """The subscribers of this event, the newest first."""
        targets = self._targets
        if targets is None:
            targets = (*list(self.leases)[::-1], *self.consumers)
            reads_params = any(subscriber.transport.limits.reads_params for subscriber in targets)
            self.reads_params = reads_params or self.select is not None
            if self.select is None:
                self._targets = targets
        return targets

    def copies(self, event: Event) -> Iterable[tuple[Event, Sequence[Subscriber]]]:
        """Return what the subscribers get of *event*: most get the event, those with selective leases perhaps less."""
        if self.select is None:
            return ((event, self.targets),)
        rest = self._rest
        if rest is None:
            others = (each.subscriber for each in list(self.leases.values())[::-1] if not each.policy.is_selective)
            rest = self._rest = (*others, *self.consumers)
        return ((event, rest), *self.select(event))

    def select_by(self, select: Select | None) -> None:
        """Have *select* decide what the leases with selective policies get; None when no lease has one any more."""
        self.select = select
        self.invalidate_targets()
        self.reads_params = self.reads_params or select is not None

    def invalidate_targets(self) -> None:
        """Drop the cached targets, because the leases or the consumers have changed."""
        self._targets = self._rest = None


class _TracedChannel(Channel):
    """A channel whose events keep the contexts in which they are raised."""

    __slots__ = ()

    def snapshot(self, params: Any, raised_at: float, depth: int = 0) -> Event:
        tracing = self.tracing  # another thread may set it
        event = Channel.snapshot(self, params, raised_at, depth)
        return event if tracing is None else tracing.keep(event)

    def snapshot_of(self, typed: EventType, raised_at: float, depth: int = 0) -> Event:
        tracing = self.tracing  # as above
        event = Channel.snapshot_of(self, typed, raised_at, depth)
        return event if tracing is None else tracing.keep(event)


@attrs.frozen
class Terms:
    """What is said when a lease is made or refreshed."""

    expire_s: int = 0
    """Its seconds; 0 never ends."""
    interface: str | None = None
    """The management interface whose client says it, "" when it is not known; None for this process."""
    policy: Policy = NO_POLICY
    """What is requested, where the configuration says nothing else."""


class Subscription:
    """A lease: one event to one subscriber, until *deadline* on the monotonic clock."""

    __slots__ = ("configured", "deadline", "event", "expire_s", "interface", "policy", "requested", "subscriber")

    def __init__(self, event: Channel, subscriber: Subscriber) -> None:
        self.event = event
        self.subscriber = subscriber
        self.configured: int | None = None  # the configured seconds, when the configuration holds the lease
        self.interface: str | None = None  # the management interface that made the lease, "" when it is not known
        self.requested = NO_POLICY  # by the latest subscription
        self.policy = NO_POLICY
        """What the configuration and the latest request say about this lease alone."""
        self.expire_s = 0
        self.deadline = math.inf

    @property
    def is_client(self) -> bool:
        """Whether a run-time client has made the lease, and the configuration does not hold it."""
        return self.interface is not None and self.configured is None

    def remaining_s(self, now: float) -> int:
        """Whole seconds left, rounded up."""
        return max(0, math.ceil(self.deadline - now))
