"""The leases of the subscribers, on a monotonic clock."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from evframe.subscriptions.channel import LeaseChange, Subscription
from evframe.subscriptions.references import has_reference

if TYPE_CHECKING:
    from evframe.delivery.members import Address
    from evframe.delivery.scheduler import Scheduler
    from evframe.delivery.subscriber import Subscriber
    from evframe.subscriptions.channel import Channel


class Leases:
    """Makes, refreshes, finds and ends leases; a subscriber lives as long as its last one."""

    def __init__(
        self,
        clock: Callable[[], float],
        scheduler: Scheduler,
        on_first: Callable[[Subscriber], None],
        on_change: Callable[[Subscription, LeaseChange], None],
    ) -> None:
        self.clock = clock
        self.subscribers: dict[str, Subscriber] = {}
        self._on_first = on_first
        self._scheduler = scheduler
        self._on_change = on_change
        self._due: list[tuple[float, Subscription]] = []
        self._stale = 0  # entries of `_due` whose lease has ended, or has an earlier entry

    @property
    def next_due(self) -> float:
        """The time of the next lease to expire; infinity when no lease expires."""
        return self._due[0][0] if self._due else math.inf

    def subscribe(
        self,
        event: Channel,
        address: Address,
        expire_s: int,
        *,
        configured: bool = False,
        interface: str | None = None,
    ) -> Subscription:
        """Make or refresh the lease of a socket on *event*.

        A refresh without a time restarts the clock of a lease that has one.
        *configured* says that the configuration holds the lease. A new lease keeps the name of the management
        *interface* that makes it. A refresh over another interface keeps that name; a refresh by this process
        removes it.
        """
        lease, is_new = self._lease(event, address)
        if is_new or interface is None:
            lease.interface = interface
        if configured:
            lease.configured = expire_s
        if (expire_s or configured) and address.socket.expires:
            lease.expire_s = expire_s
        if lease.expire_s:
            self._set_deadline(lease, lease.expire_s)
        else:
            lease.deadline = math.inf
        self._on_change(lease, "made" if is_new else "refreshed")
        return lease

    def restore(
        self, event: Channel, address: Address, expire_s: int, remaining_s: float | None, interface: str
    ) -> Subscription:
        """Make a lease of an earlier process again, with its remaining time; None for a lease that never ends."""
        lease, _ = self._lease(event, address)
        lease.interface = interface
        if remaining_s is not None:
            lease.expire_s = expire_s
            self._set_deadline(lease, remaining_s)
        self._on_change(lease, "restored")
        return lease

    def _lease(self, event: Channel, address: Address) -> tuple[Subscription, bool]:
        """Return the lease of a socket on *event*, and whether it is a new one."""
        socket = address.socket
        canonical = socket.canonical
        subscriber = self.subscribers.get(canonical)
        if subscriber is None:
            subscriber = self.subscribers[canonical] = self._scheduler.open(socket, address.transport)
            self._on_first(subscriber)
        text = canonical if address.text == canonical else address.text
        is_same = subscriber.text == text and not has_reference(text)
        subscriber.subscribe(socket, text, is_same=is_same, on_replaced=self._scheduler.on_replaced)
        lease = event.leases.get(subscriber)
        if lease is not None:
            return lease, False
        lease = event.leases[subscriber] = Subscription(event, subscriber)
        event.invalidate_targets()
        subscriber.add_lease()
        return lease, True

    def _set_deadline(self, lease: Subscription, remaining_s: float) -> None:
        lease.deadline = self.clock() + remaining_s
        if lease.deadline < lease.due:
            self._drop_entry(lease)
            lease.due = lease.deadline
            heapq.heappush(self._due, (lease.due, lease))

    def _drop_entry(self, lease: Subscription) -> None:
        """Mark the entry of *lease* as stale; remove all stale entries when they are more than half."""
        if math.isfinite(lease.due):
            self._stale += 1
        lease.due = -math.inf
        if self._stale * 2 > len(self._due):
            self._due = list({lease: (at, lease) for at, lease in self._due if at == lease.due}.values())
            heapq.heapify(self._due)
            self._stale = 0

    def find(self, event: Channel, canonical: str) -> Subscription | None:
        """Return the lease of a socket on *event*, or None."""
        subscriber = self.subscribers.get(canonical)
        return None if subscriber is None else event.leases.get(subscriber)

    def end(self, lease: Subscription, change: LeaseChange = "ended") -> None:
        """End a lease; with its last lease, a subscriber ends and is released."""
        subscriber = lease.subscriber
        del lease.event.leases[subscriber]
        lease.event.invalidate_targets()
        lease.deadline = -math.inf
        self._drop_entry(lease)
        subscriber.remove_lease()
        if not subscriber.leases:
            self._scheduler.end(subscriber)
        self._on_change(lease, change)

    def expire(self) -> None:
        """End every lease whose time has come."""
        if not self._due:
            return
        now = self.clock()
        while self._due and self._due[0][0] <= now:
            at, lease = heapq.heappop(self._due)
            if at != lease.due:
                self._stale -= 1
            elif lease.deadline <= now:
                lease.due = math.inf  # the entry of the lease is removed already
                self.end(lease, "expired")
            else:
                lease.due = lease.deadline
                if lease.due < math.inf:
                    heapq.heappush(self._due, (lease.due, lease))


class ExpiryTimer:
    """Ends leases on the running loop, each at its time."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._at = math.inf

    def start(self) -> None:
        """Start the timer."""
        self._loop = asyncio.get_running_loop()
        self._at = math.inf
        self.look()

    def look(self) -> None:
        """Set the timer anew, because a lease may end sooner than all leases before."""
        at = self._leases.next_due
        if self._loop is None or at >= self._at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        # At most an hour, because the clock of the leases may differ from the clock of the loop.
        delay_s = min(max(0.0, at - self._leases.clock()), 3600.0)
        self._timer = self._loop.call_later(delay_s, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._at = math.inf
        self._leases.expire()
        self.look()

    def stop(self) -> None:
        """Stop the timer."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
