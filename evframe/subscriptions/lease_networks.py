"""Limits the addresses of host names to the networks of the management interfaces that made the leases."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from evframe.delivery.sockets import endpoints_of
from evframe.exceptions import ForbiddenError
from evframe.subscriptions.hosts import HostAddress, Network, is_within, numeric
from evframe.subscriptions.policy import leaves, narrowest
from evframe.subscriptions.resolving import FORBIDDEN

if TYPE_CHECKING:
    from evframe.delivery.sockets import Socket
    from evframe.delivery.subscriber import Subscriber
    from evframe.subscriptions.channel import LeaseChange, Subscription
    from evframe.subscriptions.policy import Policies, Policy
    from evframe.subscriptions.resolving import Resolver

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
    """

    def __init__(self, policies: Policies, resolver: Resolver) -> None:
        self.end: Callable[[Subscription], None] = lambda lease: None  # noqa: ARG005 the lease is part of the type
        """Ends a lease."""
        self._policies = policies
        self.resolver = resolver
        """The resolver of the host names."""
        self._held: dict[Subscription, tuple[Holder, frozenset[Endpoint]]] = {}
        self._holders: dict[str, dict[int, Counter[Holder]]] = {}  # the leases on each name and port
        self._leases: dict[Endpoint, dict[Subscription, None]] = {}  # in the order in which they were held
        self._ending: dict[Subscriber, list[Subscription]] = {}
        resolver.answered = self._answered

    def check(self, policy: Policy, target: Socket) -> None:
        """Raise ForbiddenError when the networks of *policy* would take a name of *target* from others that use it."""
        networks = policy.networks
        if networks is None:
            return
        for host, port in _names(_endpoints(target)):
            if self._has_others(policy.name, host, port):
                found = self.resolver.answer(host, port)
                if not found or not _are_within(found, networks):
                    problem = f"expected a name with addresses of a permitted network, got {host!r}"
                    raise ForbiddenError("networks", target.canonical, problem)

    def _has_others(self, interface: str, host: str, port: int) -> bool:
        ports = self._holders.get(host)
        if ports is None:
            return self.resolver.is_used(host)  # a consumer or a probe uses the name
        return bool(ports.get(port, Counter()).keys() - {interface})

    def beyond(self, endpoints: Iterable[Endpoint]) -> tuple[Network, ...] | None:
        """Return the networks of the hosts that the peers at *endpoints* may name; None for any.

        They are the networks of the interfaces whose leases are on the endpoints. When this process or its
        configuration subscribes each endpoint, the peers may name any host.
        """
        held = [self._holders.get(host, {}).get(port) or Counter({"": 1}) for host, port in endpoints]
        holders = {holder for each in held if None not in each for holder in each}
        return narrowest(self._policies.of(holder).networks for holder in holders if holder is not None)

    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Count a lease that was made or has another holder; an ended lease counts until its connection ends."""
        if change in {"expired", "ended"}:
            if lease not in self._held:
                return
            if lease.subscriber.leases:
                self._drop(lease)
            else:
                self._ending.setdefault(lease.subscriber, []).append(lease)
            return
        self.released(lease.subscriber)
        holder = lease.interface if lease.is_client else None
        before = self._held.get(lease)
        if before is None:
            self._hold(lease, holder, _endpoints(lease.subscriber.socket))
        elif before[0] != holder:
            self._drop(lease)
            self._hold(lease, holder, before[1])

    def released(self, subscriber: Subscriber) -> None:
        """Lift the limits of the leases that have ended with *subscriber*."""
        for lease in self._ending.pop(subscriber, ()):
            self._drop(lease)

    def apply(self) -> None:
        """Apply changed networks of the interfaces."""
        for host, ports in list(self._holders.items()):
            for port in list(ports):
                self._limit(host, port)

    def _hold(self, lease: Subscription, holder: Holder, names: frozenset[Endpoint]) -> None:
        if not names:
            return
        self._held[lease] = holder, names
        for host, port in names:
            self._holders.setdefault(host, {}).setdefault(port, Counter())[holder] += 1
            self._leases.setdefault((host, port), {})[lease] = None
            self._limit(host, port)

    def _drop(self, lease: Subscription) -> None:
        holder, names = self._held.pop(lease)
        for host, port in names:
            del self._leases[host, port][lease]
            ports = self._holders[host]
            ports[port][holder] -= 1
            if not ports[port][holder]:
                del ports[port][holder]
            self._limit(host, port)
            if not ports[port]:
                del ports[port], self._leases[host, port]
            if not ports:
                del self._holders[host]

    def _limit(self, host: str, port: int) -> None:
        holders = self._holders[host][port]
        networks: tuple[Network, ...] | None = None
        if None not in holders:
            networks = narrowest(self._policies.of(holder).networks for holder in holders if holder is not None)
        if numeric(host, port) is not None:
            return  # a numeric host was compared at its subscription; it is kept for the hosts that its peer names
        self.resolver.restrict(host, networks, port)
        if None in holders and len(holders) > 1:
            self._end_outside(host, port)

    def _answered(self, host: str) -> None:
        for port, holders in list(self._holders.get(host, {}).items()):
            if None in holders and len(holders) > 1:
                self._end_outside(host, port)

    def _end_outside(self, host: str, port: int) -> None:
        """End the leases of clients on a name of this process that has an address outside of their networks."""
        found = self.resolver.answer(host, port)
        for lease in list(self._leases[host, port]):
            holder, _ = self._held.get(lease, (None, None))
            if holder is None:
                continue  # the lease is of this process, or ended with an earlier lease
            networks = self._policies.of(holder).networks
            if networks is None or _are_within(found, networks):
                continue
            has_ended = lease.deadline == -math.inf
            if lease.subscriber.leases == (not has_ended):
                lease.subscriber.fail_waiting(FORBIDDEN)  # otherwise the queue would be sent to that address
            if not has_ended:
                problem = f"expected a name with addresses of a permitted network, got {host!r}"
                error = ForbiddenError("networks", lease.subscriber.socket.canonical, problem)
                extra = {"event": lease.event.name, "rule": error.rule, "problem": str(error)}
                log.warning("the policy ends a subscription", extra=extra)
                self.end(lease)


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
