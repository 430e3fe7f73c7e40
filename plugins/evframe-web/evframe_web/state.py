"""What the page shows of a snapshot: sums and pictures of all, a page of one table, or one subscriber."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import attrs
from evframe_timing import Slices, portions

from evframe_web.rows import EVENT_KEYS, SUBSCRIBER_KEYS, Found, Query, select

if TYPE_CHECKING:
    from evframe.plugin import PluginContext, StatisticGroup
    from evframe_web.rows import EventRow, SubscriberRow
    from evframe_web.snapshot import Snapshot

TOP: Final = 8
"""How many events the picture shows; the others are one."""
WORST: Final = 8
"""How many subscribers the overview names."""
_PROBLEMS: Final = 10
_MOST_GROUPS: Final = 100
_VERSION: Final = version("evframe")


async def overview(context: PluginContext, snapshot: Snapshot, groups: Mapping[str, StatisticGroup]) -> dict[str, Any]:
    """Return the sums, and what the picture is drawn from.

    Args:
        context: of the plugin.
        snapshot: the state.
        groups: the counters of the journal, by the names of the groups; empty without it.
    """
    transports, slices = snapshot.transports, Slices()
    events = await _sum_events(snapshot.events, slices)
    flows: dict[tuple[str, str], list[int]] = {}
    for portion in portions(snapshot.flows.items()):
        for (event, transport), flow in portion:
            total = flows.setdefault((event if event in events.names else "", transport), [0, 0])
            total[0] += flow.leases
            total[1] += flow.bad
        await slices.pause()
    has_rates = snapshot.since_s is not None
    return {
        "version": _VERSION,
        "at": time.time(),
        "is_running": context.host.is_running,
        "raised": events.raised,
        "raised_rate": events.rate if has_rates else None,
        "delivered": sum(each.delivered for each in transports),
        "delivered_rate": sum(each.delivered_rate or 0.0 for each in transports) if has_rates else None,
        "failed": sum(each.failed for each in transports),
        "failed_rate": sum(each.failed_rate or 0.0 for each in transports) if has_rates else None,
        "queued": sum(each.queued for each in transports),
        "oldest_s": max((each.oldest_s for each in transports), default=0.0),
        "subscribers": len(snapshot.subscribers),
        "away": sum(each.away for each in transports),
        "failing": sum(each.failing for each in transports),
        "events": len(snapshot.events),
        "leases": snapshot.leases,
        "groups": len(snapshot.groups),
        "dead_letters": groups["dead_letters"].gauges["kept"] if "dead_letters" in groups else None,
        "on_disk": groups["journal"].gauges["on_disk"] if "journal" in groups else None,
        "transports": [attrs.asdict(each) for each in transports],
        "top": [row.shown() for row in events.top],
        "others": {
            "count": len(snapshot.events) - len(events.top),
            "rate": events.others_rate if has_rates else None,
            "sources": sorted(events.others_sources),
        },
        "flows": [[*ends, *counts] for ends, counts in flows.items()],
        "worst": [row.shown() for row in _worst(snapshot.bad)],
        "members": await _members(context, snapshot.groups),
        "problems": list(_problems(context)),
    }


@attrs.define
class _EventSums:
    """The sums of all events, the busiest ones, and what the others are together."""

    raised: int = 0
    rate: float = 0.0
    top: list[EventRow] = attrs.field(factory=list)
    names: set[str] = attrs.field(factory=set)
    others_rate: float = 0.0
    others_sources: set[str] = attrs.field(factory=set)


async def _sum_events(rows: list[EventRow], slices: Slices) -> _EventSums:
    sums = _EventSums()
    for portion in portions(rows):
        sums.raised += sum(row.raised for row in portion)
        sums.rate += sum(row.rate or 0.0 for row in portion)
        sums.top = heapq.nlargest(TOP, [*sums.top, *portion], key=_activity)
        await slices.pause()
    sums.names = {row.name for row in sums.top}
    for portion in portions(rows):
        others = [row for row in portion if row.name not in sums.names]
        sums.others_rate += sum(row.rate or 0.0 for row in others)
        sums.others_sources.update(row.source for row in others)
        await slices.pause()
    return sums


def _activity(row: EventRow) -> tuple[float, int, int]:
    return row.rate or 0.0, row.raised, row.leases


async def _members(context: PluginContext, rows: list[SubscriberRow]) -> list[dict[str, Any]]:
    """Return the members of groups that do not get events: of the first groups, because each is asked."""
    slices = Slices()
    found = []
    for row in rows[:_MOST_GROUPS]:
        members = context.leases.describe(row.subscriber.socket).get("members", ())
        found += [{"group": row.socket, **each} for each in members if each["state"] not in {"healthy", "idle"}]
        await slices.pause()
    return found[:WORST]


def _worst(rows: list[SubscriberRow]) -> list[SubscriberRow]:
    return heapq.nsmallest(WORST, rows, key=lambda row: (-row.queued, -row.failed, row.socket))


def _problems(context: PluginContext) -> Any:
    found = 0
    for group in context.status:
        for each in group:
            if not each.ready and found < _PROBLEMS:
                found += 1
                yield {"group": group.name, "part": each.name, "details": each.details or ""}


async def table(context: PluginContext, snapshot: Snapshot, name: str, query: Query) -> dict[str, Any]:
    """Return a page of the table *name*.

    Raises:
        LookupError: if there is no such table.
        ValueError: if *query* sorts by what is no key.
    """
    slices = Slices()
    found: Found
    if name == "events":
        found = await select(snapshot.events, query, EVENT_KEYS, slices)
    elif name == "subscribers":
        found = await select(snapshot.subscribers, query, SUBSCRIBER_KEYS, slices)
    elif name == "groups":
        found = await select(snapshot.groups, query, SUBSCRIBER_KEYS, slices)
    else:
        raise LookupError(name)
    rows = []
    for row in found.rows:
        shown = row.shown()
        if name == "groups":
            shown |= context.leases.describe(row.subscriber.socket)
            await slices.pause()
        rows.append(shown)
    return {"rows": rows, "matched": found.matched, "of": found.of, "offset": query.offset}


async def subscriber(context: PluginContext, snapshot: Snapshot, key: str) -> dict[str, Any]:
    """Return all that is known of one subscriber.

    Raises:
        LookupError: if there is none whose canonical text is *key*.
    """
    row = next((row for row in snapshot.subscribers if row.key == key), None)
    if row is None:
        raise LookupError(key)
    found = row.subscriber
    now = time.monotonic()
    leases = []
    slices = Slices()
    for channel in list(context.raising.events):
        lease = channel.leases.get(found)
        await slices.pause()
        if lease is not None:
            left = None if math.isinf(lease.deadline) else max(0.0, round(lease.deadline - now))
            by = "configuration" if lease.configured is not None else lease.interface or "this process"
            leases.append({"event": channel.name, "expire_s": lease.expire_s or None, "left_s": left, "by": by})
    return {
        **row.shown(),
        "lease_list": leases,
        "reasons": dict(found.reasons or {}),
        "policy": {name: _plain(value) for name, value in found.policy.keys.items()},
        **context.leases.describe(found.socket),
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)
