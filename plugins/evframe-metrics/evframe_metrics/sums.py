"""The sums over the subscribers, by transport, read from the counters that the core keeps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from evframe_metrics.catalog import AWAY, DELIVERIES, OLDEST, QUEUED, SUBSCRIBERS
from evframe_metrics.exposition import samples

if TYPE_CHECKING:
    from evframe.plugin import PluginContext, Subscriber
    from evframe_metrics.catalog import Metric
    from evframe_metrics.detail import Detail


def outcome_of(reason: str | None) -> tuple[str, str]:
    """Return the values of the labels `outcome` and `reason`; *reason* is None for what was delivered."""
    return ("delivered", "") if reason is None else ("failed", reason)


class Sums:
    """Adds up one subscriber after the other.

    Args:
        context: of the plugin. What it says about subscribers that were released is read at once: one that is released
            later is among `subscribers`, and counts once.
        detail: what has series of each subscriber, or None.
    """

    def __init__(self, context: PluginContext, detail: Detail | None = None) -> None:
        self._away = context.roster.away
        self._now = time.monotonic()
        self._detail = detail
        self.subscribers = context.roster.subscribers
        """What is to be added."""
        self.outcomes: Counter[tuple[str, str | None]] = Counter(context.roster.ended.outcomes)
        """How many events have an outcome, by transport and reason, None for what was delivered."""
        self.queued: Counter[str] = Counter()
        self.subscribed: Counter[str] = Counter()
        self.away: Counter[str] = Counter()
        self.oldest: dict[str, float] = {}

    def count(self, subscriber: Subscriber) -> tuple[str, int]:
        """Add the outcomes of a subscriber, and what waits for it; return its transport and how much waits."""
        transport = subscriber.socket.canonical.partition(":")[0]
        delivered, depth = subscriber.delivered, subscriber.depth
        if delivered:
            self.outcomes[transport, None] += delivered
        if subscriber.reasons:
            for reason, count in subscriber.reasons.items():
                self.outcomes[transport, reason] += count
        self.queued[transport] += depth
        return transport, depth

    def add(self, subscriber: Subscriber) -> None:
        """Add all numbers of a subscriber."""
        transport, depth = self.count(subscriber)
        self.subscribed[transport] += 1
        is_away = self._away(subscriber) is not None
        self.away[transport] += is_away
        age_s = 0.0
        if depth:
            raised_at = subscriber.queue.oldest
            age_s = 0.0 if raised_at is None else max(0.0, self._now - raised_at)
        if age_s > self.oldest.get(transport, -1.0):
            self.oldest[transport] = age_s
        if self._detail is not None:
            self._detail.add(subscriber, depth, age_s, is_away=is_away)

    def statistics(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the counters and the gauges as `get_statistics` has them, by name."""
        counters = {}
        for (transport, reason), count in self.outcomes.items():
            name = "_".join(part for part in (transport, *outcome_of(reason)) if part)
            counters[name] = count
        return counters, {f"{transport}_queued": count for transport, count in self.queued.items()}

    def families(self) -> Iterator[tuple[Metric, Iterator[str]]]:
        """Yield the metrics with their samples."""
        outcomes = [((transport, *outcome_of(reason)), count) for (transport, reason), count in self.outcomes.items()]
        yield DELIVERIES, samples(DELIVERIES, outcomes)
        sums: list[tuple[Metric, Mapping[str, float]]] = [
            (QUEUED, self.queued),
            (OLDEST, self.oldest),
            (SUBSCRIBERS, self.subscribed),
            (AWAY, self.away),
        ]
        for metric, found in sums:
            yield metric, samples(metric, [((transport,), value) for transport, value in found.items()])
