"""The subscriptions of run-time clients: the only place where the policy checks a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evframe.exceptions import ForbiddenError, SocketError

if TYPE_CHECKING:
    from evframe.delivery.members import Address
    from evframe.events.event import EventRegistry
    from evframe.subscriptions.channel import Channel, Subscription
    from evframe.subscriptions.lease_networks import LeaseNetworks
    from evframe.subscriptions.leases import Leases
    from evframe.subscriptions.policy import Policies, Policy


class ClientLeases:
    """Makes, restores and ends the leases of run-time clients, as far as the policy permits.

    Args:
        events: the registry.
        parse: returns the address of a socket's text.
        leases: of all subscribers.
        policies: of the management interfaces.
        networks: limits the names of the leases to the networks of their policies.
    """

    def __init__(
        self,
        events: EventRegistry[Channel],
        parse: Callable[[str], Address],
        leases: Leases,
        policies: Policies,
        networks: LeaseNetworks,
    ) -> None:
        self._events = events
        self._parse = parse
        self._leases = leases
        self._policies = policies
        self._networks = networks

    def subscribe(self, policy: Policy, name: str, socket: str, expire_s: int) -> None:
        """Make or refresh a lease for a client of the interface with *policy*; *expire_s* 0 ends it.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the socket cannot be used.
            ForbiddenError: if the policy does not permit it.
        """
        event, address = self._events[name], self._parse(socket)
        lease = self._leases.find(event, address.socket.canonical)
        if lease is not None and lease.configured is not None and not policy.may_end_configured:
            if not expire_s:
                problem = "expected a subscription that the configuration does not hold"
                raise ForbiddenError("end_configured", address.socket.canonical, problem)
            return
        policy.check_socket(address.socket)
        if not expire_s:
            if lease is not None:
                self._leases.end(lease)
            return
        if lease is None or lease.interface != policy.name:
            self._networks.check(policy, address.socket)
        self._leases.subscribe(event, address, expire_s, interface=policy.name)

    def restore(
        self, event: Channel, address: Address, expire_s: int, remaining_s: float | None, interface: str
    ) -> None:
        """Make a lease of an earlier process again, which a client of *interface* made.

        Raises:
            SocketError: if the policy of that interface does not permit it.
        """
        policy = self._policies.of(interface)
        try:
            policy.check_socket(address.socket)
        except ForbiddenError as error:
            raise SocketError(address.text, error.problem) from None
        self._leases.restore(event, address, expire_s, remaining_s, interface)

    def review(self) -> list[Subscription]:
        """End the leases that the policies of their interfaces do not permit any more, and return them."""
        ended = []
        for lease in self._leases.all:
            if lease.is_client and lease.interface is not None:
                try:
                    self._policies.of(lease.interface).check_socket(lease.subscriber.socket)
                except ForbiddenError as error:
                    self._networks.end(lease, error)
                    ended.append(lease)
        self._networks.apply()
        return ended
