"""The roster of all subscribers: those with leases, consumers, and members of combined subscribers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from evframe.calls import comes_from_outside
from evframe.config import CoreOptions
from evframe.delivery.members import Address, Member
from evframe.delivery.probes import Probes, state_of
from evframe.delivery.scheduler import Scheduler
from evframe.delivery.sockets import Socket, endpoints_of, shown_socket
from evframe.delivery.statistics import Counters, Ended
from evframe.delivery.subscriber import Subscriber
from evframe.events.declarations import Declaration, Parameter
from evframe.events.event import EventRegistry
from evframe.exceptions import ParameterError, SocketError
from evframe.subscriptions.channel import Channel, LeaseChange, Subscription
from evframe.subscriptions.consumers import Consumers
from evframe.subscriptions.lease_networks import LeaseNetworks
from evframe.subscriptions.leases import ExpiryTimer, Leases
from evframe.subscriptions.policy import leaves

log = logging.getLogger("evframe.interface")
_AT_ONCE: Final = 256


class Roster:
    """Keeps subscribers from their first lease to their last delivery, then calls `unsubscribed` of their transports.

    Args:
        events: the registry.
        core: the size of queues, and the time that a subscriber may take to end.
        clock: the monotonic clock of the leases, in seconds.
        tell: calls a hook of every plugin, like the method of this name of `PluginManager`.
        networks: limits host names to the networks that their clients may reach. Its resolver looks up the host
            names of every subscriber until the subscriber is released.
    """

    def __init__(
        self,
        events: EventRegistry[Channel],
        core: CoreOptions,
        clock: Callable[[], float],
        tell: Callable[..., None],
        networks: LeaseNetworks,
    ) -> None:
        self._events = events
        self._tell = tell
        self._resolver = networks.resolver
        self._networks = networks
        self.scheduler = Scheduler(
            core, on_end=self._release, on_change=self._delivery_changed, on_replaced=self._replaced
        )
        self.leases = Leases(clock, self.scheduler, self._use_hosts, self._lease_changed)
        self.consumers = Consumers(events, self.scheduler)
        self._ended = Ended()
        self._probes = Probes(self.scheduler, self.leases.subscribers.values)
        self._timer = ExpiryTimer(self.leases)
        self._members: set[Subscriber] = set()
        self._member_sockets: Counter[str] = Counter()

    @property
    def end_timeout_s(self) -> float:
        """How long a subscriber that has ended may take for the events that were raised before."""
        return self.scheduler.end_timeout_s

    def configure(self, core: CoreOptions) -> None:
        """Set the bounds of all queues, the existing ones included; a queue above its new bound keeps its events."""
        self.scheduler.configure(core)
        self._probes.every_s = core.probe_idle_s
        for subscriber in (*self.subscribers, *self._members):
            subscriber.set_bounds()

    def start(self) -> None:
        """Begin to deliver and to end leases, on the running loop."""
        self.scheduler.start()
        self._timer.start()
        self._probes.start()

    def stop_expiring(self) -> None:
        """Stop the expiry of leases."""
        self._timer.stop()

    async def drain(self, timeout_s: float) -> None:
        """Deliver the queued events within *timeout_s* seconds, and release all subscribers."""
        await self._probes.stop()
        await self.scheduler.drain([*self.subscribers, *self._members], timeout_s)
        self.consumers.close()
        # A subscriber and several members may share a socket, for which `unsubscribed` is called once.
        sockets = {each.socket.canonical: each for each in (*self._members, *self.leases.subscribers.values())}
        for number, subscriber in enumerate(sockets.values()):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # let the loop close connections, of which each subscriber may have one
            _let_go(subscriber)
        for member in self._members:
            self._release_hosts(member)
        self._members.clear()

    @property
    def subscribers(self) -> list[Subscriber]:
        """The subscribers with leases, then the consumers."""
        return [*self.leases.subscribers.values(), *self.consumers.subscribers]

    @property
    def subscriptions(self) -> list[Subscription]:
        """The leases that have not ended, by event, the oldest first."""
        self.leases.expire()
        return [lease for event in self._events for lease in event.leases.values()]

    @property
    def statistics(self) -> list[Counters]:
        """The counters of every subscriber, then the sums over the subscribers that were released."""
        return [read() for read in self.counters]

    @property
    def counters(self) -> list[Callable[[], Counters]]:
        """Functions that read the counters of each subscriber, in the order of `statistics`."""
        return [*(partial(self._counters, each) for each in self.subscribers), self._ended.counters]

    @property
    def totals(self) -> Counters:
        """The sums over all subscribers, including those that were released; without reasons."""
        totals = self._ended.counters()
        raised, delivered, failed, depth = totals.raised, totals.delivered, totals.failed, 0
        for each in self.subscribers:
            raised += each.raised
            delivered += each.delivered
            failed += each.failed
            depth += each.depth
        return Counters("", raised, delivered, failed, {}, depth)

    def _counters(self, subscriber: Subscriber) -> Counters:
        away = self.away(subscriber)
        return Counters.of(subscriber, away, state_of(subscriber, away))

    def away(self, subscriber: Subscriber) -> str | None:
        """Return why *subscriber* cannot be reached; before the first attempt, the problem of its host names."""
        if subscriber.away is not None:
            return subscriber.away
        problems = [self._resolver.problem(host, port) for host, port in endpoints_of(subscriber.socket)]
        return problems[0] if problems and all(problems) else None

    def state(self, subscriber: Subscriber) -> str:
        """Return whether *subscriber* is `connected`, `away` or `unknown`."""
        return state_of(subscriber, self.away(subscriber))

    def subscribe(
        self,
        event: Channel,
        address: Address,
        expire_s: int,
        *,
        configured: bool = False,
        interface: str | None = None,
    ) -> Subscription:
        """Make or refresh a lease; see `Leases.subscribe`. The host names of its socket are looked up again.

        Raises:
            SocketError: if the socket has a parameter that the event's declaration does not have.
        """
        check_parameters(event, address)
        lease = self.leases.subscribe(event, address, expire_s, configured=configured, interface=interface)
        for host, _ in endpoints_of(address.socket):
            self._resolver.refresh(host)
        if configured:
            self._probes.add(lease.subscriber)
        self._timer.look()
        return lease

    def restore(
        self, event: Channel, address: Address, expire_s: int, remaining_s: float | None, interface: str
    ) -> Subscription:
        """Make a lease that an earlier process made; see `Leases.restore`, and `subscribe` for what it raises."""
        check_parameters(event, address)
        lease = self.leases.restore(event, address, expire_s, remaining_s, interface)
        self._timer.look()
        return lease

    def unsubscribe(self, event: Channel, canonical: str) -> bool:
        """End the lease of a socket on *event*; return whether there was one."""
        lease = self.leases.find(event, canonical)
        if lease is None:
            return False
        self.leases.end(lease)
        return True

    def open_member(self, address: Address, on_away: Callable[[str], None] | None) -> Member:
        """Return a member that *address* is delivered to."""
        member = Member(self.scheduler, address, on_away)
        self._members.add(member.subscriber)
        self._member_sockets[address.socket.canonical] += 1
        self._use_hosts(member.subscriber)
        return member

    def close_member(self, member: Member) -> None:
        """Close a member."""
        self.scheduler.end(member.subscriber)

    def of_transport(self, transport: Any) -> list[Subscriber]:
        """Return the subscribers and members that *transport* delivers to."""
        everybody = (*self.leases.subscribers.values(), *self._members)
        return [subscriber for subscriber in everybody if subscriber.transport is transport]

    def _use_hosts(self, subscriber: Subscriber) -> None:
        for host, _ in endpoints_of(subscriber.socket):
            self._resolver.use(host)

    def _release_hosts(self, subscriber: Subscriber) -> None:
        for host, _ in endpoints_of(subscriber.socket):
            self._resolver.release(host)

    def _release(self, subscriber: Subscriber) -> None:
        """Release a subscriber that has no events left."""
        canonical = subscriber.socket.canonical
        if self.leases.subscribers.get(canonical) is subscriber:
            del self.leases.subscribers[canonical]
        if subscriber in self._members:
            self._members.discard(subscriber)  # the combined subscriber counts its events
            self._member_sockets[canonical] -= 1
        else:
            self.consumers.forget(subscriber)
            self._ended.add(subscriber)
        self._networks.released(subscriber)
        self._release_hosts(subscriber)
        if not self._is_used(canonical):
            _let_go(subscriber)

    def _is_used(self, canonical: str) -> bool:
        """Return whether a subscriber or a member still has a socket."""
        if self._member_sockets[canonical] <= 0:
            del self._member_sockets[canonical]
        return canonical in self.leases.subscribers or canonical in self._member_sockets

    def _replaced(self, subscriber: Subscriber, before: Socket) -> None:
        if endpoints_of(before) != endpoints_of(subscriber.socket):
            self._use_hosts(subscriber)
            for host, _ in endpoints_of(before):
                self._resolver.release(host)
        release(subscriber.transport.unsubscribed, before)

    def _lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        self._networks.lease_changed(lease, change)
        if self.leases.subscribers.get(lease.subscriber.socket.canonical) is not lease.subscriber:
            self._networks.released(lease.subscriber)  # an idle subscriber is released before its last lease has ended
        self._tell("lease_changed", lease=lease, change=change)

    def _delivery_changed(self, subscriber: Subscriber, reason: str | None) -> None:
        self._tell("delivery_changed", socket=subscriber.socket, reason=reason)


def check_parameters(event: Channel, address: Address) -> None:
    """Raise SocketError if the socket of *address* has a parameter that the declaration of *event* does not have."""
    name = lacking(event.params, address.socket)
    if name is not None:
        known = ", ".join(event.params or ()) or "none"
        raise SocketError(
            address.text, f"expected a parameter of the event {event.name!r}, which are {known}, got {name!r}"
        )


def check_declaration(event: Channel, declaration: Declaration | None) -> None:
    """Raise ParameterError if *declaration* lacks a parameter that a subscriber of *event* has in its text."""
    if declaration is None or event.declaration is not None:  # the first declaration stays
        return
    for subscriber in event.leases:
        name = lacking(declaration.params, subscriber.socket)
        if name is not None:
            text, known = shown_socket(subscriber.socket), ", ".join(declaration.params) or "none"
            problem = f"expected it in the declaration, because the subscriber {text!r} has it, got {known}"
            raise ParameterError(event.name, name, problem)


def lacking(declared: Mapping[str, Parameter] | None, socket: Socket) -> str | None:
    """Return the first parameter of *socket* that is not declared; None when there is none, or no declaration."""
    if declared is None:
        return None
    for leaf in leaves(socket):
        for name in getattr(leaf, "parameters", ()):
            is_place = name.isascii() and name.isdigit() and len(name) < 5 and 1 <= int(name) <= len(declared)
            if name not in declared and not is_place:
                return str(name)
    return None


def _let_go(subscriber: Subscriber) -> None:
    """Call the hook `unsubscribed` of the transport of a subscriber whose socket is not used any more."""
    release(subscriber.transport.unsubscribed, subscriber.socket)


def release(unsubscribed: Callable[..., Any], socket: Socket) -> None:
    """Call the hook `unsubscribed` of a transport; an error of the hook is logged."""
    try:
        unsubscribed(socket=socket)
    except BaseException as error:
        if comes_from_outside(error):
            raise
        log.exception("a transport raised an error", extra={"socket": socket.canonical})
