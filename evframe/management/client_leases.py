"""The subscriptions of run-time clients: the one place where the policy is asked about a socket."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING

from evframe.exceptions import ForbiddenError, SocketError
from evframe.sockets import endpoints_of
from evframe.subscriptions.names import is_within
from evframe.subscriptions.policy import leaves

if TYPE_CHECKING:
    from evframe.events.event import EventDefinition, EventRegistry
    from evframe.members import Address
    from evframe.roster import Roster
    from evframe.sockets import Socket
    from evframe.subscribers import Subscription
    from evframe.subscriptions.policy import Policies, Policy
    from evframe.subscriptions.resolving import Resolver

log = logging.getLogger("evframe.management")


class ClientLeases:
    """Makes, restores and ends the leases of run-time clients, as far as the policy permits.

    Args:
        events: the registry.
        parse: returns the address of a socket's text.
        roster: of the subscribers.
        policies: of the management interfaces.
        resolver: is restricted to the networks of the policy.
    """

    def __init__(
        self,
        events: EventRegistry,
        parse: Callable[[str], Address],
        roster: Roster,
        policies: Policies,
        resolver: Resolver,
    ) -> None:
        self._events = events
        self._parse = parse
        self._roster = roster
        self._policies = policies
        self._resolver = resolver

    def subscribe(self, policy: Policy, name: str, socket: str, expire_s: int) -> None:
        """Make or refresh a lease for a client of the interface with *policy*; *expire_s* 0 ends it.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the socket cannot be used.
            ForbiddenError: if the policy does not permit it.
        """
        event, address = self._events[name], self._parse(socket)
        lease = self._roster.leases.find(event, address.socket.canonical)
        if lease is not None and lease.configured is not None and not policy.may_end_configured:
            if not expire_s:
                problem = "expected a subscription that the configuration does not hold"
                raise ForbiddenError("end_configured", address.socket.canonical, problem)
            return
        policy.check_socket(address.socket)
        if expire_s:
            self._restrict(address.socket, policy)
            self._roster.subscribe(event, address, expire_s).by_client |= lease is None
        else:
            self._roster.unsubscribe(event, address.socket.canonical)

    def restore(self, event: EventDefinition, address: Address, expire_s: int, remaining_s: float | None) -> None:
        """Make a lease that an earlier process has kept.

        Raises:
            SocketError: if the policy of all interfaces does not permit it.
        """
        try:
            self._policies.general.check_socket(address.socket)
            self._restrict(address.socket, self._policies.general)
        except ForbiddenError as error:
            raise SocketError(address.text, error.problem) from None
        self._roster.restore(event, address, expire_s, remaining_s).by_client = True

    def permit(self, target: Socket) -> None:
        """Let the names of *target*, which this process itself subscribes, have any address."""
        for host in _hosts(target):
            self._resolver.restrict(host, None)

    def _restrict(self, target: Socket, policy: Policy) -> None:
        """Have the names of *target* resolve to addresses in the networks of *policy* alone.

        A name that the configuration subscribes as well may have any address: a client may subscribe it as long as
        those that it has are in the networks.
        """
        if policy.networks is None:
            return
        for host, port in chain.from_iterable(map(endpoints_of, leaves(target))):
            if not self._resolver.is_free(host):
                self._resolver.restrict(host, policy.networks)
                continue
            known = self._resolver.known(host, port)
            if known is None or not all(is_within(address.ip, policy.networks) for address in known):
                problem = f"expected a name with addresses of a permitted network, got {host!r}"
                raise ForbiddenError("networks", target.canonical, problem)

    def review(self) -> list[Subscription]:
        """End the leases that the policy of all interfaces does not permit any more, and return them."""
        ended = []
        networks = self._policies.general.networks
        leases = self._roster.subscriptions
        free = {host for lease in leases if not lease.is_client for host in _hosts(lease.subscriber.socket)}
        for host in free:
            self._resolver.restrict(host, None)
        for lease in leases:
            if lease.is_client:
                try:
                    self._policies.general.check_socket(lease.subscriber.socket)
                    for host in _hosts(lease.subscriber.socket) - free:
                        self._resolver.restrict(host, networks)
                except ForbiddenError as error:
                    extra = {"event": lease.event.name, "rule": error.rule, "problem": str(error)}
                    log.warning("the policy ends a subscription", extra=extra)
                    self._roster.leases.end(lease)
                    ended.append(lease)
        return ended


def _hosts(target: Socket) -> set[str]:
    return {host for leaf in leaves(target) for host, _ in endpoints_of(leaf)}
