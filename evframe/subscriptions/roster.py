"""The roster of all subscribers: those with leases, consumers, and members of combined subscribers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from evframe.calls import comes_from_outside
from evframe.config import CoreOptions, Policy
from evframe.config.policy import NONE as NO_POLICY
from evframe.delivery.members import Address, Member
from evframe.delivery.probes import Probes, state_of
from evframe.delivery.scheduler import Scheduler
from evframe.delivery.sockets import Socket, endpoints_of
from evframe.delivery.statistics import Counters, Ended
from evframe.delivery.subscriber import Subscriber
from evframe.events.event import Event, EventRegistry
from evframe.subscriptions.channel import Channel
from evframe.subscriptions.consumers import Consumers
from evframe.subscriptions.references import has_reference
from evframe.subscriptions.resolving import Resolver

log = logging.getLogger("evframe.interface")
_AT_ONCE: Final = 256


class Roster:
    """Keeps subscribers from their first lease to their last delivery, then calls `unsubscribed` of their transports.

    Args:
        events: the registry.
        core: the size of queues, and the time that a subscriber may take to end.
        resolver: looks up the host names of every subscriber until the subscriber is released.
        notify: calls a hook of every plugin with the arguments of the hook.
        collect: calls a hook of every plugin, and returns the results.
    """

    def __init__(
        self,
        events: EventRegistry[Channel],
        core: CoreOptions,
        resolver: Resolver,
        notify: Callable[..., None],
        collect: Callable[..., Sequence[Any]],
    ) -> None:
        self.by_socket: dict[str, Subscriber] = {}
        """The subscribers with leases, and those that are ending, by the canonical texts of their sockets."""
        self._resolver = resolver
        self._notify = notify
        self.collect = collect
        """Calls a hook of every plugin, and returns the results."""
        self.opens_all = False
        """Whether plugins may open the queues of subscribers without a policy, too."""
        self._room = core.queue_size
        self.scheduler = Scheduler(
            core,
            on_end=self._release,
            on_change=self._delivery_changed,
            on_replaced=self._replaced,
            on_dead=self._events_failed,
        )
        self.consumers = Consumers(events, self.scheduler)
        self.ended = Ended()
        """The sums over the subscribers that were released; members are not counted."""
        self._probes = Probes(self.scheduler, self.by_socket.values)
        self._members: set[Subscriber] = set()
        self._member_sockets: Counter[str] = Counter()

    def configure(self, core: CoreOptions) -> None:
        """Set the bounds of all queues, the existing ones included; a queue above its new bound keeps its events."""
        self.scheduler.configure(core)
        self._room = core.queue_size
        self._probes.every_s = core.probe_idle_s
        for subscriber in (*self.subscribers, *self._members):
            subscriber.set_bounds()
            self.scheduler.room.is_used |= subscriber.policy.when_full == "block"

    def start(self) -> None:
        """Begin to deliver, on the running loop."""
        self.scheduler.start()
        self._probes.start()

    async def drain(self, timeout_s: float) -> None:
        """Deliver the queued events within *timeout_s* seconds, and release all subscribers."""
        await self._probes.stop()
        await self.scheduler.drain(lambda: [*self.subscribers, *self._members], timeout_s)
        self.consumers.close()
        # A subscriber and several members may share a socket, for which `unsubscribed` is called once.
        sockets = {each.socket.canonical: each for each in (*self._members, *self.by_socket.values())}
        for number, subscriber in enumerate(sockets.values()):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # let the loop close connections, of which each subscriber may have one
            release(subscriber.transport.unsubscribed, subscriber.socket)
        for member in self._members:
            self._release_hosts(member.socket)
        self._members.clear()

    @property
    def subscribers(self) -> list[Subscriber]:
        """The subscribers with leases, then the consumers."""
        return [*self.by_socket.values(), *self.consumers.subscribers]

    @property
    def counters(self) -> list[Callable[[], Counters]]:
        """Functions that read the counters of each subscriber, then the sums over those that were released."""
        return [*(partial(self.counters_of, each) for each in self.subscribers), self.ended.counters]

    @property
    def totals(self) -> Counters:
        """The sums over all subscribers, including those that were released; without reasons."""
        totals = self.ended.counters()
        raised, delivered, failed, depth = totals.raised, totals.delivered, totals.failed, 0
        for each in self.subscribers:
            raised += each.raised
            delivered += each.delivered
            failed += each.failed
            depth += each.depth
        return Counters("", raised, delivered, failed, {}, depth)

    def counters_of(self, subscriber: Subscriber) -> Counters:
        """Return the counters of *subscriber* as they are now."""
        away = self.away(subscriber)
        return Counters.of(subscriber, away, state_of(subscriber, away))

    def away(self, subscriber: Subscriber) -> str | None:
        """Return why *subscriber* cannot be reached; before the first attempt, the problem of its host names."""
        if subscriber.away is not None:
            return subscriber.away
        problems = [self._resolver.problem(host, port) for host, port in endpoints_of(subscriber.socket)]
        return problems[0] if problems and all(problems) else None

    def open(self, address: Address) -> Subscriber:
        """Return the subscriber of the socket of *address*, which delivers to that socket from now on."""
        socket = address.socket
        canonical = socket.canonical
        subscriber = self.by_socket.get(canonical)
        if subscriber is None:
            subscriber = self.by_socket[canonical] = self.scheduler.open(socket, address.transport)
            self._use_hosts(socket)
        text = canonical if address.text == canonical else address.text
        is_same = subscriber.text == text and not has_reference(text)
        subscriber.subscribe(socket, text, is_same=is_same, on_replaced=self.scheduler.on_replaced)
        return subscriber

    def apply(self, subscriber: Subscriber, policy: Policy) -> None:
        """Have the queue of *subscriber* follow *policy*; plugins may put another one in its place, or round it."""
        before = subscriber.follow(policy)
        is_changed = policy != before
        if not is_changed and not self.opens_all:
            return
        if policy.when_full == "block":
            self.scheduler.room.is_used = True
        if is_changed and before is not NO_POLICY:
            subscriber.set_bounds()
        arguments = {"subscriber": subscriber, "policy": policy, "wake": partial(self.scheduler.wake, subscriber)}
        if not (subscriber.queue.is_kept or subscriber.depth):
            for queue in self.collect("open_queue", room=self._room, **arguments):
                subscriber.use(queue)
        if is_changed:
            for queue in self.collect("limit_queue", queue=subscriber.opened(), **arguments):
                subscriber.use(queue)

    def check(self, subscriber: Subscriber, *, probe: bool) -> None:
        """Look up the host names of *subscriber* again, and with *probe* find out whether its peer can be reached."""
        for host, _ in endpoints_of(subscriber.socket):
            self._resolver.refresh(host)
        if probe:
            self._probes.add(subscriber)

    def open_member(self, address: Address, on_away: Callable[[str], None] | None = None) -> Member:
        """Return a subscriber at *address* that a plugin feeds; see `Member`."""
        member = Member(self.scheduler, address, on_away)
        self._members.add(member.subscriber)
        self._member_sockets[address.socket.canonical] += 1
        self._use_hosts(address.socket)
        return member

    def close_member(self, member: Member) -> None:
        """Close a member, once its events are delivered or its time is over."""
        self.scheduler.end(member.subscriber)

    def of_transport(self, transport: Any) -> list[Subscriber]:
        """Return the subscribers and members that *transport* delivers to."""
        all_ = (*self.by_socket.values(), *self._members)
        return [subscriber for subscriber in all_ if subscriber.transport is transport]

    def _use_hosts(self, socket: Socket) -> None:
        for host, _ in endpoints_of(socket):
            self._resolver.use(host)

    def _release_hosts(self, socket: Socket) -> None:
        for host, _ in endpoints_of(socket):
            self._resolver.release(host)

    def _release(self, subscriber: Subscriber) -> None:
        """Release a subscriber that has no events left."""
        canonical = subscriber.socket.canonical
        if self.by_socket.get(canonical) is subscriber:
            del self.by_socket[canonical]
        if subscriber in self._members:
            self._members.discard(subscriber)  # the combined subscriber counts its events
            self._member_sockets[canonical] -= 1
            if not self._member_sockets[canonical]:
                del self._member_sockets[canonical]
        else:
            self.consumers.forget(subscriber)
            self.ended.add(subscriber)
        self._notify("subscriber_released", subscriber=subscriber)
        self._release_hosts(subscriber.socket)
        if canonical not in self.by_socket and canonical not in self._member_sockets:
            release(subscriber.transport.unsubscribed, subscriber.socket)

    def _replaced(self, subscriber: Subscriber, before: Socket) -> None:
        self._use_hosts(subscriber.socket)
        self._release_hosts(before)
        release(subscriber.transport.unsubscribed, before)

    def _events_failed(
        self, subscriber: Subscriber, events: Sequence[Event], reasons: Sequence[str], error: BaseException | None
    ) -> None:
        self._notify("events_failed", subscriber=subscriber, events=events, reasons=reasons, error=error)

    def _delivery_changed(self, subscriber: Subscriber, reason: str | None, event: Event | None) -> None:
        self._notify("delivery_changed", socket=subscriber.socket, reason=reason, event=event)


def release(unsubscribed: Callable[..., Any], socket: Socket) -> None:
    """Call the hook `unsubscribed` of a transport; an error of the hook is logged."""
    try:
        unsubscribed(socket=socket)
    except BaseException as error:
        if comes_from_outside(error):
            raise
        log.exception("a transport raised an error", extra={"socket": socket.canonical})
