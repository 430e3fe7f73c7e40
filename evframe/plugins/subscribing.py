"""Subscriptions: made, listed and ended, with what is known of each subscriber."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from typing import Any

from evframe_options import check_timeout

from evframe.config.policy import NONE as NO_POLICY
from evframe.config.policy import Policy
from evframe.delivery.members import Address
from evframe.delivery.probes import state_of
from evframe.delivery.scheduler import Observer
from evframe.delivery.sockets import Socket
from evframe.delivery.statistics import Counters
from evframe.events.event import EventRegistry
from evframe.exceptions import ForbiddenError, SocketError
from evframe.plugins.manager import PluginManager
from evframe.plugins.transports import Transports
from evframe.subscriptions.channel import Channel, Subscription, Terms
from evframe.subscriptions.leases import Leases
from evframe.subscriptions.references import has_reference


def check_expire_s(expire_s: int) -> None:
    """Raise ValueError unless *expire_s* is the time of a lease: 0 or more whole seconds."""
    if type(expire_s) is int:
        check_timeout("expire_s", expire_s)
    if type(expire_s) is not int or expire_s < 0:
        raise ValueError(f"expire_s: expected 0 or more whole seconds, got {expire_s!r}")


class Subscribing:
    """Makes, lists and ends subscriptions.

    Args:
        registry: of the events.
        leases: of the subscribers.
        transports: parse sockets.
        manager: of the plugins, of which one describes a socket.
    """

    def __init__(
        self,
        registry: EventRegistry[Channel],
        leases: Leases,
        transports: Transports,
        manager: PluginManager,
    ) -> None:
        self._events = registry
        self._roster = leases.roster
        self._leases = leases
        self._transports = transports
        self._manager = manager

    def find(self, event: Channel, address: Address) -> Subscription | None:
        """Return the lease of the socket of *address* on *event*, or None."""
        return self._leases.find(event, address.socket.canonical)

    def subscription(self, name: str, socket: str) -> Subscription | None:
        """Return the lease of *socket* on an event, or None.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the socket cannot be used.
        """
        self.expire()
        event = self._events[name]
        # Listings show references of a configured socket; only such a text may be parsed with references.
        canonical = socket if has_reference(socket) else self._transports.parse(socket).socket.canonical
        return self._leases.find(event, canonical)

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call *observer* with each batch that is over; see `Scheduler.observe`."""
        return self._roster.scheduler.observe(observer)

    @property
    def subscriptions(self) -> list[Subscription]:
        """The leases that have not ended, by event, the oldest first."""
        return self._leases.all

    def remaining_s(self, lease: Subscription) -> int:
        """Return the whole seconds that *lease* has left, rounded up."""
        return lease.remaining_s(self._leases.clock())

    def away(self, lease: Subscription) -> str | None:
        """Return why the subscriber of *lease* cannot be reached, such as `unresolved`; None when it can."""
        return self._roster.away(lease.subscriber)

    def state(self, lease: Subscription) -> str:
        """Return whether the subscriber of *lease* is `connected`, `away`, or `unknown`, as it was last found."""
        return state_of(lease.subscriber, self.away(lease))

    def seconds_left(self, lease: Subscription) -> float | None:
        """Return the seconds that *lease* has left; None when it never ends."""
        return lease.deadline - self._leases.clock() if lease.expire_s else None

    @property
    def statistics(self) -> list[Counters]:
        """The counters of every subscriber, then the sums over the subscribers that were released."""
        return [read() for read in self._roster.counters]

    def subscribe_event(
        self,
        name: str,
        socket: str,
        expire_s: int = 0,
        *,
        configured: bool = False,
        policy: Policy = NO_POLICY,
    ) -> Subscription:
        """Subscribe *socket* to an event, or refresh its lease; *expire_s* 0 never ends.

        A *configured* lease is made from the configuration after each restart. It ends when a reloaded
        configuration lacks it. The *policy* holds where the configuration has none.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the scheme is unknown or the text does not fit its grammar.
            ValueError: if the policy cannot be followed.
        """
        check_expire_s(expire_s)
        event, address = self._events[name], self._transports.parse(socket, configured=configured)
        self._manager.check_policy(policy, event)
        return self._leases.subscribe(event, address, Terms(expire_s, policy=policy), configured=configured)

    def subscribe_client(self, event: Channel, address: Address, terms: Terms) -> None:
        """Make or refresh a lease for a client of a management interface, whose rules the caller has checked.

        Raises:
            ValueError: if the policy cannot be followed; it begins with the key.
        """
        self._manager.check_policy(terms.policy, event)
        self._leases.subscribe(event, address, terms)

    def restore_subscription(
        self, name: str, socket: str, terms: Terms, remaining_s: float | None, *, renews: bool = False
    ) -> bool:
        """Subscribe with a lease of which *remaining_s* seconds are left; None for one that never ends.

        The hook `check_lease` checks it by the rules of the management interface that made it, empty where none is
        known. The lease of an interface is refused when no plugin has the hook, because its rules are not known. A
        lease that exists already does not change, unless *renews*: it gets these terms and this time then, except
        for a lease that the configuration holds. Returns whether a lease was made or renewed.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the socket cannot be used, or the lease is not permitted.
            ValueError: if the policy cannot be followed.
        """
        event, address = self._events[name], self._transports.parse(socket)
        lease = self.find(event, address)
        if lease is not None and (not renews or lease.configured is not None):
            return False
        interface = terms.interface or ""
        self._manager.check_policy(terms.policy, event)
        try:
            is_permitted = self._manager.decide("check_lease", socket=address.socket, interface=interface)
        except ForbiddenError as error:
            raise SocketError(address.text, error.problem) from None
        if interface and not is_permitted:
            problem = f"expected a loaded plugin that has the rules of the interface {interface!r}, got none"
            raise SocketError(address.text, problem)
        self._leases.restore(event, address, terms, remaining_s)
        return True

    def unsubscribe_event(self, name: str, socket: str) -> bool:
        """End a subscription; return whether there was one."""
        lease = self.find(self._events[name], self._transports.parse(socket))
        if lease is None:
            return False
        self.end(lease)
        return True

    def end(self, lease: Subscription) -> None:
        """End a lease."""
        self._leases.end(lease)

    def expire(self) -> None:
        """End every lease whose time has come."""
        self._leases.expire()

    def parse_socket(self, text: str) -> Address:
        """Return the address of a socket; SocketError when it cannot be used."""
        return self._transports.parse(text)

    def describe(self, socket: Socket | str) -> dict[str, Any]:
        """Return what plugins describe of *socket*, or of its text, such as the state of its members.

        Raises:
            SocketError: if *socket* is a text that cannot be used.
        """
        if isinstance(socket, str):
            socket = self.parse_socket(socket).socket
        return dict(ChainMap(*self._manager.collect("describe", socket=socket)))
