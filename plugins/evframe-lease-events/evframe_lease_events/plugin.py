"""The plugin: observes leases and deliveries, and raises events about them that cannot feed themselves."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from evframe import Event, Socket, hookimpl
from evframe.plugin import EventCollector, HostAddress, LeaseChange, PluginContext, Subscriber, Subscription
from evframe_lease_events.events import (
    ENDED,
    EVENTS,
    EXPIRED,
    EXPIRING,
    FAILED,
    FAILING,
    MADE,
    MOVED,
    RECOVERED,
    REFRESHED,
)
from evframe_lease_events.notices import Notices
from evframe_lease_events.options import Options as LeaseEventsOptions
from evframe_lease_events.troubles import Troubles

_BY_CHANGE: Final[dict[LeaseChange, str]] = {
    "made": MADE,
    "refreshed": REFRESHED,
    "expired": EXPIRED,
    "ended": ENDED,
}
_OWN: Final = frozenset({*_BY_CHANGE.values(), EXPIRING, FAILING, FAILED, RECOVERED, MOVED})
_MOST: Final = 500  # events raised in one turn of the loop
_MOST_NEW: Final = 5000  # leases recorded in one turn
_IDLE_S: Final = 1.0  # no hook is called when a consumer in the process comes or goes


class LeaseEvents:
    """The plugin object.

    Leases on the events of this plugin raise none, and neither do its deliveries.

    Args:
        options: the table ``[plugins.lease-events]``.
        clock: the clock of the leases, in seconds.
    """

    Options = LeaseEventsOptions

    def __init__(
        self, options: LeaseEventsOptions | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        options = LeaseEventsOptions() if options is None else options
        self._clock = clock
        self._notices = Notices(options.notice_s)
        self._troubles = Troubles(options.settle_s)
        self._options = options
        self._second = -math.inf
        self._raised = self._unreported = 0  # of the events about those that failed for good, in this second
        self._context: PluginContext | None = None
        self._watching = False
        self._unseen: list[Subscription] = []
        self._sooner = asyncio.Event()

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the events; they are meta events, so that delivering them raises no event."""
        for event in EVENTS:
            collector.add(event)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin; what the configuration holds exists already, and raises no event."""
        self._context = context
        self._sooner = asyncio.Event()
        context.status.group("lease-events").add(details="observes leases and deliveries")
        context.spawn(self._watch())

    @hookimpl
    def reconfigure(self, options: LeaseEventsOptions) -> None:
        """Take other times; a lease whose event was raised does not raise it again."""
        if options.notice_s != self._notices.notice_s:
            self._notices.notice_s = options.notice_s
            self._unseen += self._notices.take_all()
        self._troubles.settle_s = options.settle_s
        self._options = options
        self._sooner.set()

    @hookimpl
    def stop(self) -> None:
        """Forget everything."""
        self._context = None
        self._end_notices()
        self._troubles.clear()

    @hookimpl
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Raise the event of a change."""
        context = self._context
        if context is None:
            return
        if lease.event.name in _OWN:
            self._sooner.set()  # there may be a subscriber for what had none before
        else:
            if self._watching:
                self._keep(lease, change)
            name = _BY_CHANGE.get(change)  # none for what an earlier process made
            if name is not None and context.has_subscribers(name):
                context.raise_event(name, _about(lease))
        if not lease.subscriber.leases:
            self._troubles.forget(lease.subscriber.socket.canonical)

    def _keep(self, lease: Subscription, change: LeaseChange) -> None:
        """Record when a lease is about to end."""
        if change in {"expired", "ended"}:
            self._notices.forget(lease)
            return
        before = self._notices.next_at
        self._notices.add(lease)
        if self._notices.next_at < before:
            self._sooner.set()

    @hookimpl
    def delivery_changed(self, socket: Socket, reason: str | None, event: Event | None) -> None:
        """Raise that deliveries fail at once, and that they work again once they have for a while."""
        context = self._context
        if context is None:
            return
        if reason is None:
            self._troubles.works(socket.canonical, self._clock())
            self._sooner.set()
            return
        is_subscribed = context.has_subscribers(FAILING) or context.has_subscribers(RECOVERED)
        if is_subscribed and self._troubles.fails(socket.canonical):
            payload = {"event": event.name, **self._payload_of(event)} if event and self._options.with_payload else {}
            context.raise_event(FAILING, {"socket": socket.canonical, "reason": reason, **payload})

    @hookimpl
    def events_failed(self, subscriber: Subscriber, events: Sequence[Event], reasons: Sequence[str]) -> None:
        """Raise an event for each that has failed for good, up to so many a second; meta events raise none."""
        context = self._context
        if context is None or not context.has_subscribers(FAILED):
            return
        now = self._clock()
        if now - self._second >= 1:
            self._second, self._raised = now, 0
        failed = [each for each in zip(events, reasons, strict=True) if not each[0].definition.is_meta]
        room = max(0, self._options.failed_per_s - self._raised)
        for event, reason in failed[:room]:
            params = {"socket": subscriber.socket.canonical, "event": event.name, "reason": reason}
            unreported, self._unreported = self._unreported, 0
            self._raised += 1
            context.raise_event(FAILED, {**params, "unreported": unreported, **self._payload_of(event)})
        self._unreported += len(failed[room:])

    def _payload_of(self, event: Event) -> dict[str, str]:
        return {"payload": event.payload.decode("utf-8", "surrogateescape")} if self._options.with_payload else {}

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Raise the event of a name that has moved."""
        if self._context is not None and self._context.has_subscribers(MOVED):
            self._context.raise_event(MOVED, {"host": host, "addresses": [address.ip for address in addresses]})

    async def _watch(self) -> None:
        while True:
            wait_s = self.process_due()
            self._sooner.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._sooner.wait()

    def process_due(self) -> float:
        """Raise what is due; return the seconds until the next call."""
        context = self._context
        if context is None:
            return _IDLE_S
        if context.has_subscribers(EXPIRING) is not self._watching:
            if self._watching:
                self._end_notices()
            else:
                self._begin_notices(context)
        for lease in self._unseen[-_MOST_NEW:]:
            self._notices.add(lease)
        del self._unseen[-_MOST_NEW:]
        for lease in self._notices.due(self._clock(), _MOST):
            left = math.ceil(context.leases.seconds_left(lease) or 0)
            context.raise_event(EXPIRING, {**_about(lease), "ttl": left})
        for socket in self._troubles.recovered(self._clock(), _MOST):
            context.raise_event(RECOVERED, {"socket": socket})
        if self._unseen:
            return 0.0
        next_at = min(self._notices.next_at, self._troubles.next_at)
        return min(max(0.0, next_at - self._clock()), _IDLE_S)

    def _begin_notices(self, context: PluginContext) -> None:
        """Begin to record the present leases, now that there is a subscriber."""
        self._watching = True
        self._unseen = [
            lease for event in context.raising.events if event.name not in _OWN for lease in event.leases.values()
        ]

    def _end_notices(self) -> None:
        self._watching = False
        self._unseen.clear()
        self._notices.clear()


def _about(lease: Subscription) -> dict[str, Any]:
    return {
        "event": lease.event.name,
        "socket": lease.subscriber.socket.canonical,
        "expire": lease.expire_s,
    }
