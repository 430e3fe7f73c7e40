"""Limits the addresses of host names to the networks of the management interfaces that made the leases."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from evframe.delivery.sockets import endpoints_of, leaves
from evframe.exceptions import ForbiddenError
from evframe.subscriptions.hosts import HostAddress, Network, is_within, numeric
from evframe.subscriptions.policy import narrowest
from evframe.subscriptions.resolving import FORBIDDEN

if TYPE_CHECKING:
    from evframe.delivery.sockets import Socket
    from evframe.delivery.subscriber import Subscriber
    from evframe.subscriptions.channel import LeaseChange, Subscription
    from evframe.subscriptions.leases import Leases
    from evframe.subscriptions.policy import Policies, Policy
    from evframe.subscriptions.resolving import Resolver
    from evframe.subscriptions.roster import Roster

log = logging.getLogger("evframe.management")
Endpoint = tuple[str, int]
Holder = str | None
"""What made a lease: the name of a management interface, or None for this process and its configuration."""


class LeaseNetworks:
    """Limits each host name and port to the networks of the interfaces whose leases connect to it.

    The leases on one name and port share connections, so the narrowest networks hold for all of them. What this
    process or its configuration subscribes is never limited: a client's lease on the same name and port ends when
    the name has an address outside of its networks. A limit lasts until a subscriber that has ended is done.

    Args:
        policies: of the management interfaces.
        resolver: looks up the names, and is restricted.
        roster: of the subscribers.
        leases: whose names are limited.
    """

    def __init__(self, policies: Policies, resolver: Resolver, roster: Roster, leases: Leases) -> None:
        self._policies = policies
        self._resolver = resolver
        self._leases = leases
        self._held: dict[Subscription, tuple[Holder, frozenset[Endpoint]]] = {}
        # The leases on each host, port and holder, in the order in which they were held.
        self._hosts: dict[str, dict[int, dict[Holder, dict[Subscription, None]]]] = {}
        self._ending: dict[Subscriber, list[Subscription]] = {}
        resolver.answered = self._answered
        roster.on_release = self._released
        leases.on_change = self._lease_changed

    def check(self, policy: Policy, target: Socket) -> None:
        """Raise ForbiddenError when the networks of *policy* would take a name of *target* from others that use it."""
        networks = policy.networks
        if networks is None:
            return
        for host, port in _names(_endpoints(target)):
            if self._has_others(policy.name, host, port):
                found = self._resolver.answer(host, port)
                if not found or not _are_within(found, networks):
                    raise _outside(target, host)

    def _has_others(self, interface: str, host: str, port: int) -> bool:
        ports = self._hosts.get(host)
        if ports is None:
            return self._resolver.is_used(host)  # a consumer or a probe uses the name
        return bool(ports.get(port, {}).keys() - {interface})

    def beyond(self, endpoints: Iterable[Endpoint]) -> tuple[Network, ...] | None:
        """Return the networks of the hosts that the peers at *endpoints* may name; None for any.

        They are the networks of the interfaces whose leases are on the endpoints. When this process or its
        configuration subscribes each endpoint, the peers may name any host.
        """
        held = [self._hosts.get(host, {}).get(port) or {"": {}} for host, port in endpoints]
        return self._narrowest({holder for each in held if None not in each for holder in each})

    def _narrowest(self, holders: Iterable[Holder]) -> tuple[Network, ...] | None:
        return narrowest(self._policies.of(holder).networks for holder in holders if holder is not None)

    def end(self, lease: Subscription, error: ForbiddenError) -> None:
        """End a lease that the policy does not permit any more."""
        extra = {"event": lease.event.name, "rule": error.rule, "problem": str(error)}
        log.warning("the policy ends a subscription", extra=extra)
        self._leases.end(lease)

    def apply(self) -> None:
        """Apply changed networks of the interfaces."""
        for host, ports in list(self._hosts.items()):
            for port in list(ports):
                self._limit(host, port)

    def _lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Count a lease that was made or has another holder; an ended lease counts until its connection ends."""
        if change in {"expired", "ended"}:
            if lease in self._held:
                if lease.subscriber.leases:
                    self._drop(lease)
                else:
                    self._ending.setdefault(lease.subscriber, []).append(lease)
            return
        self._released(lease.subscriber)
        holder = lease.interface if lease.is_client else None
        before = self._held.get(lease)
        if before is None:
            self._hold(lease, holder, _endpoints(lease.subscriber.socket))
        elif before[0] != holder:
            self._drop(lease)
            self._hold(lease, holder, before[1])

    def _released(self, subscriber: Subscriber) -> None:
        """Lift the limits of the leases that have ended with *subscriber*."""
        for lease in self._ending.pop(subscriber, ()):
            self._drop(lease)

    def _hold(self, lease: Subscription, holder: Holder, endpoints: frozenset[Endpoint]) -> None:
        if endpoints:
            self._held[lease] = holder, endpoints
        for host, port in endpoints:
            self._hosts.setdefault(host, {}).setdefault(port, {}).setdefault(holder, {})[lease] = None
            self._limit(host, port)

    def _drop(self, lease: Subscription) -> None:
        holder, endpoints = self._held.pop(lease)
        for host, port in endpoints:
            ports = self._hosts[host]
            holders = ports[port]
            del holders[holder][lease]
            if not holders[holder]:
                del holders[holder]
            self._limit(host, port)
            if not holders:
                del ports[port]
            if not ports:
                del self._hosts[host]

    def _limit(self, host: str, port: int) -> None:
        if numeric(host, port) is not None:
            return  # a numeric host was compared at its subscription; it is kept for the hosts that its peer names
        holders = self._hosts[host][port]
        self._resolver.restrict(host, None if None in holders else self._narrowest(holders), port)
        self._end_outside(host, port)

    def _answered(self, host: str) -> None:
        for port in list(self._hosts.get(host, ())):
            self._end_outside(host, port)

    def _end_outside(self, host: str, port: int) -> None:
        """End the leases of clients on a name of this process that has an address outside of their networks."""
        holders = self._hosts.get(host, {}).get(port, {})  # the end of another lease may have ended all of these
        if None not in holders:
            return
        found = self._resolver.answer(host, port)
        for holder in [holder for holder in holders if holder is not None]:
            networks = self._policies.of(holder).networks
            if networks is None or _are_within(found, networks):
                continue
            for lease in list(holders.get(holder, ())):
                if lease not in self._held:
                    continue  # it ended with an earlier lease
                has_ended = lease.deadline == -math.inf
                if lease.subscriber.leases == (not has_ended):
                    lease.subscriber.fail_waiting(FORBIDDEN)  # otherwise the queue would be sent to that address
                if not has_ended:
                    self.end(lease, _outside(lease.subscriber.socket, host))


def _outside(target: Socket, host: str) -> ForbiddenError:
    problem = f"expected a name with addresses of a permitted network, got {host!r}"
    return ForbiddenError("networks", target.canonical, problem)


def _endpoints(target: Socket) -> frozenset[Endpoint]:
    """Return the host names that *target* and its members connect to, and the numeric hosts whose peers name others."""
    found: set[Endpoint] = set()
    for leaf in leaves(target):
        found |= set(endpoints_of(leaf)) if getattr(leaf, "names_hosts", False) else _names(endpoints_of(leaf))
    return frozenset(found)


def _names(endpoints: Iterable[Endpoint]) -> set[Endpoint]:
    return {endpoint for endpoint in endpoints if numeric(*endpoint) is None}


def _are_within(addresses: Sequence[HostAddress], networks: Sequence[Network]) -> bool:
    return all(is_within(address.ip, networks) for address in addresses)
