"""The state of the gateway at one moment, read once for all pages that look, in slices of the loop."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
from evframe_timing import Slices, portions

from evframe.plugin import shown_socket
from evframe_web.rows import EventRow, SubscriberRow
from evframe_web.viewers import OWN

if TYPE_CHECKING:
    from evframe.plugin import Channel, PluginContext, Subscriber
    from evframe_web.viewers import Own

EVERY_S: Final = 1.0
"""How old a snapshot may be."""
REST: Final = 4.0
"""For how many times as long as a snapshot takes none is made: the page takes a fifth of the loop at most."""
KEEP_S: Final = 20.0
"""For how long a snapshot is kept that no page asks for; it is what rates are counted from."""
_NAMES: Final = 3  # of the events of a subscriber


@attrs.define(slots=True)
class TransportSum:
    """The subscribers of one transport, and those that have ended."""

    name: str
    subscribers: int = 0
    away: int = 0
    failing: int = 0
    queued: int = 0
    oldest_s: float = 0.0
    delivered: int = 0
    failed: int = 0
    delivered_rate: float | None = None
    failed_rate: float | None = None


@attrs.define(slots=True)
class Flow:
    """The leases of one event over one transport."""

    leases: int = 0
    bad: int = 0
    """Of subscribers that are away, or that lose events."""


@attrs.frozen
class Snapshot:
    """The state at one moment."""

    at: float
    """On the monotonic clock, in seconds."""
    lasted_s: float
    subscribers: list[SubscriberRow]
    events: list[EventRow]
    transports: list[TransportSum]
    flows: Mapping[tuple[str, str], Flow]
    """The leases by event and transport."""
    leases: int
    answers: dict[Any, bytes] = attrs.field(factory=dict)
    """What pages have asked of it already, by the question."""


@attrs.define(slots=True)
class _Leases:
    """The leases of one subscriber."""

    count: int = 0
    ends: float = math.inf
    names: list[str] = attrs.field(factory=list)


class Snapshots:
    """Makes a snapshot when a page asks, at most once in a while, and none when no page looks.

    Args:
        context: of the plugin.
        changes: since when deliveries to a subscriber fail or work again, by its canonical text, and why.
        own: what the pages themselves cause, which they do not show.
        clock: the monotonic clock, in seconds.
    """

    def __init__(
        self,
        context: PluginContext,
        changes: Mapping[str, tuple[float, str | None]],
        own: Own,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._changes = changes
        self._own = own
        self._clock = clock
        self._lock = asyncio.Lock()
        self._current: Snapshot | None = None
        self._ending: asyncio.TimerHandle | None = None
        self.made = 0
        """How many snapshots were made."""

    async def get(self) -> Snapshot:
        """Return the current snapshot."""
        async with self._lock:
            current = self._current
            if current is None or self._clock() - current.at >= max(EVERY_S, REST * current.lasted_s):
                current = self._current = await self._make(current)
                self.made += 1
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(KEEP_S, self.forget)
        return current

    def expire(self) -> None:
        """Have the answers made again, because something was changed; the numbers are read again when they are due."""
        if self._current is not None:
            self._current.answers.clear()

    def forget(self) -> None:
        """Drop the snapshot: it has all subscribers, and no page asks for it."""
        self._current = None
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    async def _make(self, before: Snapshot | None) -> Snapshot:
        slices, began, now = Slices(), time.thread_time(), self._clock()
        held: dict[Subscriber, _Leases] = {}
        flows: dict[tuple[str, str], Flow] = {}
        channels = list(self._context.raising.events)
        for channel in channels:
            await _read_leases(channel, held, flows, slices)
        sums: dict[str, TransportSum] = {}
        self._add_ended(sums)
        rows = []
        for portion in portions(self._context.roster.subscribers):
            for subscriber in portion:
                if subscriber not in self._own.subscribers:
                    row = self._row(subscriber, held.get(subscriber), now)
                    rows.append(row)
                    _add(sums, row)
            await slices.pause()
        seconds = None if before is None else now - before.at
        snapshot = Snapshot(
            now,
            time.thread_time() - began,
            rows,
            self._events(channels, before, seconds),
            sorted(sums.values(), key=lambda each: each.name),
            flows,
            sum(each.count for each in held.values()),
        )
        if before is not None and seconds:
            _set_rates(snapshot, before, seconds)
        return snapshot

    def _row(self, subscriber: Subscriber, held: _Leases | None, now: float) -> SubscriberRow:
        key = subscriber.socket.canonical
        away = self._context.roster.away(subscriber)
        since, why = self._changes.get(key, (None, None))
        queued = subscriber.depth
        raised_at = subscriber.queue.oldest if queued else None
        reason = away or why or _commonest(subscriber.reasons)
        return SubscriberRow(
            subscriber,
            key,
            shown_socket(subscriber.socket),
            key.partition(":")[0],
            _state(subscriber, away, held),
            None if since is None else round(now - since, 1),
            reason,
            queued,
            0.0 if raised_at is None else round(max(0.0, time.monotonic() - raised_at), 1),
            subscriber.raised,
            subscriber.delivered,
            subscriber.failed,
            0 if held is None else held.count,
            math.inf if held is None else max(0.0, round(held.ends - time.monotonic(), 0)),
            () if held is None else held.names,
        )

    def _events(self, channels: Iterable[Channel], before: Snapshot | None, seconds: float | None) -> list[EventRow]:
        earlier = {} if before is None else {row.name: row.raised for row in before.events}
        sources = {event: status.name for status in self._context.host.plugin_status for event in status.events}
        rows = []
        for channel in channels:
            name, raised = channel.name, channel.raised
            rate = max(0, raised - earlier[name]) / seconds if seconds and name in earlier else None
            summary = "" if channel.declaration is None else channel.declaration.summary
            rows.append(EventRow(name, raised, rate, len(channel.leases), sources.get(name, ""), summary))
        return rows

    def _add_ended(self, sums: dict[str, TransportSum]) -> None:
        outcomes = self._context.roster.ended.outcomes - self._own.ended
        for (transport, reason), count in outcomes.items():
            total = sums.setdefault(transport, TransportSum(transport))
            if reason is None:
                total.delivered += count
            else:
                total.failed += count


async def _read_leases(
    channel: Channel, held: dict[Subscriber, _Leases], flows: dict[tuple[str, str], Flow], slices: Slices
) -> None:
    name = channel.name
    for portion in portions(list(channel.leases.values())):
        for lease in portion:
            subscriber = lease.subscriber
            leases = held.get(subscriber)
            if leases is None:
                leases = held[subscriber] = _Leases()
            leases.count += 1
            leases.ends = min(leases.ends, lease.deadline)
            if len(leases.names) < _NAMES:
                leases.names.append(name)
            key = name, subscriber.socket.canonical.partition(":")[0]
            flow = flows.get(key)
            if flow is None:
                flow = flows[key] = Flow()
            flow.leases += 1
            flow.bad += subscriber.away is not None or subscriber.failing
        await slices.pause()


def _state(subscriber: Subscriber, away: str | None, held: _Leases | None) -> str:
    if away is not None:
        return "away"
    if subscriber.failing:
        return "failing"
    if held is None:
        return "listening" if subscriber.socket.canonical.startswith(f"{OWN}:") else "ending"
    return "connected" if subscriber.reached or subscriber.delivered else "unknown"


def _commonest(reasons: Mapping[str, int] | None) -> str:
    return max(reasons, key=reasons.__getitem__) if reasons else ""


def _add(sums: dict[str, TransportSum], row: SubscriberRow) -> None:
    total = sums.get(row.transport)
    if total is None:
        total = sums[row.transport] = TransportSum(row.transport)
    total.subscribers += 1
    total.away += row.state == "away"
    total.failing += row.state == "failing"
    total.queued += row.queued
    total.oldest_s = max(total.oldest_s, row.oldest_s)
    total.delivered += row.delivered
    total.failed += row.failed


def _set_rates(snapshot: Snapshot, before: Snapshot, seconds: float) -> None:
    earlier = {total.name: total for total in before.transports}
    for total in snapshot.transports:
        known = earlier.get(total.name) or TransportSum(total.name)
        total.delivered_rate = max(0, total.delivered - known.delivered) / seconds
        total.failed_rate = max(0, total.failed - known.failed) / seconds
