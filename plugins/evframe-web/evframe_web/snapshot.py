"""The state of the gateway at one moment, read once for all pages that look, in slices of the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
from evframe_timing import Slices, portions

from evframe.plugin import shown_socket
from evframe_web.event_rows import EventRows
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
GROUPS: Final = "virtual"
"""The scheme of subscribers with members."""
BAD: Final = ("away", "failing")
"""The states of subscribers that do not get what they should."""
_AT_ONCE: Final = 64
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
    since_s: float | None
    """The seconds since the snapshot before, of which the rates are; None without one."""
    lasted_s: float
    """How long it has taken to read, in seconds of the loop's thread."""
    subscribers: list[SubscriberRow]
    groups: list[SubscriberRow]
    """Those with members."""
    bad: list[SubscriberRow]
    """Those that are away, or lose events."""
    events: list[EventRow]
    transports: list[TransportSum]
    flows: Mapping[tuple[str, str], Flow]
    """The leases by event and transport."""
    leases: int
    answers: dict[Any, bytes] = attrs.field(factory=dict)
    """What pages have asked of it already, by the question."""


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
        self._rows: dict[Subscriber, SubscriberRow] = {}
        self._events = EventRows()
        self._number = 0
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
        self._ending = asyncio.get_running_loop().call_later(KEEP_S, self._fade)
        return current

    def expire(self) -> None:
        """Have the answers made again, because something was changed; the numbers are read again when they are due."""
        if self._current is not None:
            self._current.answers.clear()

    def _fade(self) -> None:
        """Drop the snapshot: it has all subscribers, and no page asks for it."""
        rows, self._rows = self._rows, {}
        self.forget()
        self._context.spawn(_free(rows, Slices()))

    def forget(self) -> None:
        """Drop the snapshot at once."""
        self._current = None
        self._rows = {}
        self._events.forget()
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    async def _make(self, before: Snapshot | None) -> Snapshot:
        slices, began, now = Slices(), time.thread_time(), self._clock()
        self._number += 1
        flows: dict[tuple[str, str], Flow] = {}
        channels = list(self._context.raising.events)
        for channel in channels:
            await self._read_leases(channel, flows, now, slices)
        sums: dict[str, TransportSum] = {}
        self._add_ended(sums)
        rows: list[SubscriberRow] = []
        for portion in portions(self._context.roster.subscribers):
            for subscriber in portion:
                if subscriber not in self._own.subscribers:
                    row = self._row(subscriber)
                    self._read(row, now)
                    rows.append(row)
                    _add(sums, row)
            await slices.pause()
        for known in portions(list(self._rows)):
            for subscriber in known:
                if self._rows[subscriber].number != self._number:
                    del self._rows[subscriber]
            await slices.pause()
        seconds = None if before is None else now - before.at
        snapshot = Snapshot(
            now,
            seconds,
            time.thread_time() - began,
            rows,
            await _chosen(rows, lambda row: row.transport == GROUPS, slices),
            await _chosen(rows, lambda row: row.state in BAD, slices),
            await self._events.read(channels, self._sources(), seconds, slices),
            sorted(sums.values(), key=lambda each: each.name),
            flows,
            sum(flow.leases for flow in flows.values()),
        )
        if before is not None and seconds:
            _set_rates(snapshot, before, seconds)
        return snapshot

    def _row(self, subscriber: Subscriber) -> SubscriberRow:
        row = self._rows.get(subscriber)
        if row is None:
            key = subscriber.socket.canonical
            row = self._rows[subscriber] = SubscriberRow(subscriber, key, key.partition(":")[0])
        if row.number != self._number:
            row.begin(self._number)
        return row

    def _read(self, row: SubscriberRow, now: float) -> None:
        subscriber = row.subscriber
        away = self._context.roster.away(subscriber)
        since, why = self._changes.get(row.key, (None, None))
        queued = subscriber.depth
        raised_at = subscriber.queue.oldest if queued else None
        row.socket = shown_socket(subscriber.socket)
        row.state = _state(subscriber, away, has_lease=row.leases > 0)
        row.since_s = None if since is None else round(now - since, 1)
        row.reason = away or why or _commonest(subscriber.reasons)
        row.queued = queued
        row.oldest_s = 0.0 if raised_at is None else round(max(0.0, time.monotonic() - raised_at), 1)
        row.raised, row.delivered, row.failed = subscriber.raised, subscriber.delivered, subscriber.failed

    async def _read_leases(
        self, channel: Channel, flows: dict[tuple[str, str], Flow], now: float, slices: Slices
    ) -> None:
        name = channel.name
        for portion in portions(list(channel.leases.values())):
            for lease in portion:
                subscriber = lease.subscriber
                row = self._row(subscriber)
                row.leases += 1
                row.left_s = min(row.left_s, max(0.0, lease.deadline - now))
                if len(row.events) < _NAMES:
                    row.events = (*row.events, name)
                flow = flows.get((name, row.transport))
                if flow is None:
                    flow = flows[name, row.transport] = Flow()
                flow.leases += 1
                flow.bad += subscriber.away is not None or subscriber.failing
            await slices.pause()
        await slices.pause()  # after an event without a lease, too: there may be thousands

    def _sources(self) -> dict[str, str]:
        return {event: status.name for status in self._context.host.plugin_status for event in status.events}

    def _add_ended(self, sums: dict[str, TransportSum]) -> None:
        outcomes = self._context.roster.ended.outcomes - self._own.ended
        for (transport, reason), count in outcomes.items():
            total = sums.setdefault(transport, TransportSum(transport))
            if reason is None:
                total.delivered += count
            else:
                total.failed += count


async def _chosen(
    rows: Iterable[SubscriberRow], is_chosen: Callable[[SubscriberRow], bool], slices: Slices
) -> list[SubscriberRow]:
    found: list[SubscriberRow] = []
    for portion in portions(rows):
        found += filter(is_chosen, portion)
        await slices.pause()
    return found


async def _free(rows: dict[Subscriber, SubscriberRow], slices: Slices) -> None:
    """Free rows a few at a time: ten thousand at once would hold up the loop for milliseconds."""
    while rows:
        for _ in range(min(_AT_ONCE, len(rows))):
            rows.popitem()
        await slices.pause()


def _state(subscriber: Subscriber, away: str | None, *, has_lease: bool) -> str:
    if away is not None:
        return "away"
    if subscriber.failing:
        return "failing"
    if not has_lease:
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
