"""Leases: made, refreshed, found and ended, each at its time on a monotonic clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from evframe_declarations import Declaration, Parameter
from evframe_timing import Alarm, Schedule

from evframe.config.policy import NONE as NO_POLICY
from evframe.config.policy import Policy, PolicyOptions
from evframe.delivery.members import Address
from evframe.delivery.sockets import Socket, leaves, shown_socket
from evframe.events.event import EventRegistry
from evframe.exceptions import ParameterError, SocketError
from evframe.subscriptions.channel import Channel, LeaseChange, Subscription, Terms
from evframe.subscriptions.policies import Policies
from evframe.subscriptions.roster import Roster

_PARTS: Final = 16  # of a second: a lease ends at the end of the part in which its time is over


class Leases:
    """Makes, refreshes, finds and ends leases; a subscriber lives as long as its last one.

    Args:
        events: the registry.
        roster: of the subscribers.
        clock: a monotonic clock, in seconds.
        notify: calls a hook of every plugin with the arguments of the hook.
    """

    def __init__(
        self,
        events: EventRegistry[Channel],
        roster: Roster,
        clock: Callable[[], float],
        notify: Callable[..., None],
    ) -> None:
        self.clock = clock
        self._events = events
        self.roster = roster
        """The roster of the subscribers."""
        self._notify = notify
        self.policies = Policies()
        """The policies of the subscribers."""
        self._due: Schedule[Subscription] = Schedule(_PARTS)
        self.alarm = Alarm(self._on_alarm)
        """The timer, which the interface starts: without it, leases end when they are looked at."""

    @property
    def all(self) -> list[Subscription]:
        """The leases that have not ended, by event, the oldest first."""
        self.expire()
        return [lease for event in self._events for lease in event.leases.values()]

    def find(self, event: Channel, canonical: str) -> Subscription | None:
        """Return the lease of a socket on *event*, or None."""
        subscriber = self.roster.by_socket.get(canonical)
        return None if subscriber is None else event.leases.get(subscriber)

    def subscribe(self, event: Channel, address: Address, terms: Terms, *, configured: bool = False) -> Subscription:
        """Make or refresh the lease of a socket on *event*. The host names of the socket are looked up again.

        A refresh without a time restarts the clock of a lease that has one.
        *configured* says that the configuration holds the lease. A new lease keeps the name of the management
        interface that makes it. A refresh over another interface keeps that name; a refresh by this process
        removes it.

        Raises:
            SocketError: if the socket has a parameter that the event's declaration does not have.
        """
        lease, is_new = self._lease(event, address)
        if is_new or terms.interface is None:
            lease.interface = terms.interface
        if configured:
            lease.configured = terms.expire_s
        self._request(lease, terms.policy)
        if (terms.expire_s or configured) and address.socket.expires:
            lease.expire_s = terms.expire_s
        self._set_time(lease, lease.expire_s or math.inf)
        self._notify("lease_changed", lease=lease, change="made" if is_new else "refreshed")
        self.roster.check(lease.subscriber, probe=configured)
        return lease

    def restore(self, event: Channel, address: Address, terms: Terms, remaining_s: float | None) -> Subscription:
        """Make or renew a lease of another process, with its remaining time; None for a lease that never ends.

        Raises:
            SocketError: as for `subscribe`.
        """
        lease, is_new = self._lease(event, address)
        lease.interface = terms.interface or ""
        self._request(lease, terms.policy)
        lease.expire_s = 0 if remaining_s is None else terms.expire_s
        self._set_time(lease, math.inf if remaining_s is None else remaining_s)
        self._notify("lease_changed", lease=lease, change="restored" if is_new else "refreshed")
        return lease

    def _lease(self, event: Channel, address: Address) -> tuple[Subscription, bool]:
        """Return the lease of a socket on *event*, and whether it is a new one."""
        check_parameters(event, address)
        subscriber = self.roster.open(address)
        lease = event.leases.get(subscriber)
        if lease is not None:
            return lease, False
        lease = event.leases[subscriber] = Subscription(event, subscriber)
        event.invalidate_targets()
        subscriber.add_lease()
        return lease, True

    def _request(self, lease: Subscription, policy: Policy) -> None:
        self.policies.request(lease, policy)
        self._apply(lease)

    def _apply(self, lease: Subscription) -> bool:
        """Apply the policies to *lease* and its subscriber; return whether one of the two has another one now."""
        before = lease.policy, lease.subscriber.policy
        lease.policy = self.policies.of_lease(lease)
        if lease.policy.is_selective != before[0].is_selective:
            lease.event.invalidate_targets()
        self.roster.apply(lease.subscriber, self.policies.of_subscriber(lease.subscriber))
        return before != (lease.policy, lease.subscriber.policy)

    def configure(self, options: Sequence[PolicyOptions], configured: Mapping[tuple[str, str], Policy]) -> None:
        """Exchange the policies of the configuration, and apply them to the existing leases."""
        self.policies.configure(options, configured)
        for lease in self.all:
            if self._apply(lease):
                self._notify("lease_changed", lease=lease, change="refreshed")

    def end(self, lease: Subscription, change: LeaseChange = "ended") -> None:
        """End a lease; with its last lease, a subscriber ends and is released."""
        subscriber = lease.subscriber
        del lease.event.leases[subscriber]
        lease.event.invalidate_targets()
        self._set_time(lease, -math.inf)
        subscriber.remove_lease()
        if lease.requested is not NO_POLICY:
            self.policies.request(lease, NO_POLICY)
            if subscriber.leases:  # without leases, what waits is sent as it was to be
                self.roster.apply(subscriber, self.policies.of_subscriber(subscriber))
        self.roster.scheduler.room.release(subscriber)
        self._notify("lease_changed", lease=lease, change=change)
        if not subscriber.leases:  # a plugin may have subscribed it again
            self.roster.scheduler.end(subscriber)

    def _set_time(self, lease: Subscription, remaining_s: float) -> None:
        """Let *lease* end in *remaining_s* seconds; infinity for never, its negative for a lease that has ended."""
        if math.isfinite(lease.deadline):
            self._due.remove(lease, lease.deadline)
        lease.deadline = self.clock() + remaining_s
        if math.isfinite(lease.deadline):
            self._due.add(lease, lease.deadline)
            self._set_alarm()

    def _set_alarm(self) -> None:
        self.alarm.set(self._due.next_due - self.clock())

    def _on_alarm(self) -> None:
        self.expire()
        self._set_alarm()

    def expire(self) -> None:
        """End every lease whose time is over, unless a plugin gives it more time."""
        while (lease := self._due.pop(self.clock())) is not None:
            lease.deadline = math.inf  # the schedule does not have it any more
            more_s = max(self.roster.collect("lease_due", lease=lease), default=0.0)
            if more_s > 0:
                self._set_time(lease, more_s)
            else:
                self.end(lease, "expired")


def check_parameters(event: Channel, address: Address) -> None:
    """Raise SocketError if the socket of *address* has a parameter that the declaration of *event* does not have."""
    name = _lacking(event.params, address.socket)
    if name is not None:
        known = ", ".join(event.params or ()) or "none"
        raise SocketError(
            address.text, f"expected a parameter of the event {event.name!r}, which are {known}, got {name!r}"
        )


def check_declaration(event: Channel, declaration: Declaration | None, sockets: Iterable[Socket]) -> None:
    """Raise ParameterError if *declaration* lacks a parameter that one of the *sockets* of *event* has in its text."""
    if declaration is None or event.declaration is not None:  # the first declaration stays
        return
    for socket in sockets:
        name = _lacking(declaration.params, socket)
        if name is not None:
            text, known = shown_socket(socket), ", ".join(declaration.params) or "none"
            problem = f"expected it in the declaration, because the subscriber {text!r} has it, got {known}"
            raise ParameterError(event.name, name, problem)


def _lacking(declared: Mapping[str, Parameter] | None, socket: Socket) -> str | None:
    """Return the first parameter of *socket* that is not declared; None when there is none, or no declaration."""
    if declared is None:
        return None
    for leaf in leaves(socket):
        for name in getattr(leaf, "parameters", ()):
            is_place = name.isascii() and name.isdigit() and len(name) < 5 and 1 <= int(name) <= len(declared)
            if name not in declared and not is_place:
                return str(name)
    return None
