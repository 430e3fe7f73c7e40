"""The leases of run-time clients: made as far as the policy permits, and limited to its networks."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence

import attrs

from evframe import Socket
from evframe.plugin import (
    FORBIDDEN,
    CommandError,
    ForbiddenError,
    HostAddress,
    LeaseChange,
    Network,
    PluginContext,
    Subscriber,
    Subscription,
    Terms,
    endpoints_of,
    is_within,
    leaves,
    numeric,
)
from evframe_mi.policy import Policies, Policy, narrowest

log = logging.getLogger("evframe.management")
Endpoint = tuple[str, int]
Holder = str | None
"""What made a lease: the name of a management interface, or None for this process and its configuration."""


class ClientLeases:
    """Makes and ends the leases of run-time clients, as far as the policy permits.

    Each host name and port is limited to the networks of the interfaces whose leases connect to it. The leases on
    one name and port share connections, so the narrowest networks hold for all of them. What this
    process or its configuration subscribes is never limited: a client's lease on the same name and port ends when
    the name has an address outside of its networks. A limit lasts until a subscriber that has ended is done.

    Args:
        context: returns the context of the plugin, with the leases and the resolver.
        policies: of the management interfaces.
    """

    def __init__(self, context: Callable[[], PluginContext], policies: Policies) -> None:
        self._context = context
        self._policies = policies
        self._held: dict[Subscription, tuple[Holder, frozenset[Endpoint]]] = {}
        # The leases on each host, port and holder, in the order in which they were held.
        self._hosts: dict[str, dict[int, dict[Holder, dict[Subscription, None]]]] = {}
        self._ending: dict[Subscriber, list[Subscription]] = {}

    def subscribe(self, policy: Policy, name: str, socket: str, terms: Terms) -> Subscription | None:
        """Make or refresh a lease for a client of the interface with *policy*; a time of 0 ends it.

        Returns the lease, also one that has ended; None when nothing has changed.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the socket cannot be used.
            ValueError: if the policy of *terms* cannot be followed.
            ForbiddenError: if the policy does not permit it.
        """
        context = self._context()
        event, address = context.raising.event(name), context.transports.parse(socket)
        lease = context.leases.find(event, address)
        if lease is not None and lease.configured is not None and not policy.may_end_configured:
            if not terms.expire_s:
                problem = "expected a subscription that the configuration does not hold"
                raise ForbiddenError("end_configured", address.socket.canonical, problem)
            return None
        policy.check_socket(address.socket)
        if not terms.expire_s:
            if lease is not None:
                context.leases.end(lease)
            return lease
        if lease is None or lease.interface != policy.name:
            self._check_names(policy, address.socket)
        if not getattr(address.socket, "is_lasting", True):  # the text may mean another connection in a reload
            address = attrs.evolve(address, text=address.socket.canonical)
        context.leases.subscribe_client(event, address, terms)
        return context.leases.find(event, address)

    def check_target(self, policy: Policy, target: Socket) -> None:
        """Raise ForbiddenError unless clients with *policy* may have events sent to *target* without a lease.

        Where *policy* has networks, the target connects to numeric hosts alone: only leases limit what a name, or a
        peer that names others, leads to.
        """
        policy.check_socket(target)
        if policy.networks is not None:
            for host, _ in sorted(_endpoints(target)):
                raise _outside(target, host)

    def review(self) -> list[Subscription]:
        """Apply changed policies; return the leases that are not permitted any more, and have ended therefore."""
        ended = []
        for lease in self._context().leases.subscriptions:
            if lease.is_client and lease.interface is not None:
                try:
                    self._policies.of(lease.interface).check_socket(lease.subscriber.socket)
                except ForbiddenError as error:
                    self._end(lease, error)
                    ended.append(lease)
        for host, ports in list(self._hosts.items()):
            for port in list(ports):
                self._limit(host, port)
        return ended

    def beyond(self, endpoints: Iterable[Endpoint]) -> tuple[Network, ...] | None:
        """Return the networks of the hosts that the peers at *endpoints* may name; None for any.

        They are the networks of the interfaces whose leases are on the endpoints. When this process or its
        configuration subscribes each endpoint, the peers may name any host.
        """
        held = [self._hosts.get(host, {}).get(port) or {"": {}} for host, port in endpoints]
        return self._narrowest({holder for each in held if None not in each for holder in each})

    def _check_names(self, policy: Policy, target: Socket) -> None:
        """Raise ForbiddenError when the networks of *policy* would take a name of *target* from others that use it."""
        networks = policy.networks
        if networks is None:
            return
        for host, port in _names(_endpoints(target)):
            if self._has_others(policy.name, host, port):
                found = self._context().resolver.answer(host, port)
                if not found or not _are_within(found, networks):
                    raise _outside(target, host)

    def _has_others(self, interface: str, host: str, port: int) -> bool:
        ports = self._hosts.get(host)
        if ports is None:
            return self._context().resolver.is_used(host)  # a consumer or a probe uses the name
        return bool(ports.get(port, {}).keys() - {interface})

    def _narrowest(self, holders: Iterable[Holder]) -> tuple[Network, ...] | None:
        return narrowest(self._policies.of(holder).networks for holder in holders if holder is not None)

    def _end(self, lease: Subscription, error: ForbiddenError) -> None:
        """End a lease that the policy does not permit any more."""
        extra = {"event": lease.event.name, "rule": error.rule, "problem": str(error)}
        log.warning("the policy ends a subscription", extra=extra)
        self._context().leases.end(lease)

    def adopt(self) -> None:
        """Limit the names of the leases that were made before the plugin was loaded."""
        for lease in self._context().leases.subscriptions:
            if lease not in self._held:
                self.lease_changed(lease, "made")

    def end_all(self) -> None:
        """End the leases of all interfaces, because no policy holds for them any more.

        The limits of the names stay until the last use of each name ends.
        """
        leases = self._context().leases
        for lease in leases.subscriptions:
            if lease.is_client and lease.interface:
                if lease.subscriber.leases == 1:
                    lease.subscriber.fail_waiting(FORBIDDEN)
                leases.end(lease)

    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Count a lease that was made or has another holder; an ended lease counts until its connection ends."""
        if change in {"expired", "ended"}:
            if lease in self._held:
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
        holders = self._hosts.get(host, {}).get(port, {})  # none when the end of another lease has ended all of them
        self._context().resolver.restrict(host, None if None in holders else self._narrowest(holders), port)
        self._end_outside(host, port)

    def answered(self, host: str) -> None:
        """End the leases of clients that may not connect to a new address of *host*."""
        for port in list(self._hosts.get(host, ())):
            self._end_outside(host, port)

    def _end_outside(self, host: str, port: int) -> None:
        """End the leases of clients on a name of this process that has an address outside of their networks."""
        holders = self._hosts.get(host, {}).get(port, {})  # as above
        if None not in holders:
            return
        found = self._context().resolver.answer(host, port)
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
                    self._end(lease, _outside(lease.subscriber.socket, host))


async def kept(waits: Sequence[Awaitable[None]], timeout_s: float) -> str:
    """Return the answer when all of *waits* have ended: the lease is kept elsewhere, too.

    Raises:
        CommandError: if one of them has an error, or takes longer than *timeout_s* seconds.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(*waits)
    except TimeoutError:
        problem = "expected it to be kept elsewhere in time; it may be later"
        raise CommandError(500, "Subscription not kept", problem) from None
    except Exception as error:  # noqa: BLE001 any error of what keeps it is the answer
        raise CommandError(500, "Subscription not kept", str(error)) from None
    return "OK"


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
