"""The series of each subscriber, up to a bound; the others are one, which is called `other`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from evframe.plugin import shown_socket
from evframe_metrics.catalog import (
    SERIES_EACH,
    SUBSCRIBER_AWAY,
    SUBSCRIBER_DELIVERIES,
    SUBSCRIBER_OLDEST,
    SUBSCRIBER_QUEUED,
    Metric,
)
from evframe_metrics.exposition import label, number, readable

if TYPE_CHECKING:
    from evframe.plugin import Subscriber

OTHER: Final = "other"
"""The label of those without series; no socket has this text, which has no colon."""


class _Row:
    """The numbers of the subscribers with one text, which *label* shows, in one scrape."""

    __slots__ = ("age_s", "away", "delivered", "depth", "failed", "label", "scrape")

    def __init__(self, text: str) -> None:
        self.label = f'{{socket="{label(text)}"'
        self.scrape = 0
        self.begin(0, (0, 0))

    def begin(self, scrape: int, released: tuple[int, int]) -> None:
        """Begin the scrape with this number, with what ended subscribers have counted."""
        self.scrape = scrape
        self.delivered, self.failed = released
        self.depth = self.away = 0
        self.age_s = 0.0


class Detail:
    """Which subscribers have series: the first ones that a scrape finds, for as long as they exist.

    A subscriber stays in `other` until it ends, because a counter of `other` that a subscriber leaves would fall, which
    Prometheus takes for a restart. Subscribers with the same text in listings share their series.

    The rows stay from one scrape to the next: to free ten thousand at once would hold up the loop for milliseconds.

    Args:
        max_series: of all subscribers together.
    """

    def __init__(self, max_series: int) -> None:
        self._most = max_series // SERIES_EACH
        self._rows: dict[str, _Row] = {}
        self._other = _Row(OTHER)
        self._others: dict[str, int] = {}  # the texts that have no series, with the last scrape that has found each
        self._released: dict[str, tuple[int, int]] = {}  # what ended ones of a text, or of the others, had counted
        self._at_begin = self._released
        self._scrape = 0
        self.in_other = 0
        """How many subscribers had no series in the last scrape."""

    def release(self, subscriber: Subscriber) -> None:
        """Keep the counts of a subscriber that has ended: others may share its series."""
        text = readable(shown_socket(subscriber.socket))
        key = text if text in self._rows else OTHER
        before = self._released.get(key, (0, 0))
        self._released[key] = before[0] + subscriber.delivered, before[1] + subscriber.failed

    def begin(self) -> None:
        """Begin a scrape; one subscriber that ends from now on is still to be added, with what it has counted."""
        self._scrape += 1
        self._at_begin = dict(self._released)
        self._other.begin(self._scrape, self._released.get(OTHER, (0, 0)))
        self.in_other = 0

    def add(self, subscriber: Subscriber, depth: int, age_s: float, *, is_away: bool) -> None:
        """Add a subscriber.

        Args:
            subscriber: with its counters.
            depth: how many of its events wait or are under way.
            age_s: the seconds since the raise of the oldest one.
            is_away: whether it cannot be reached.
        """
        row = self._row(readable(shown_socket(subscriber.socket)))
        row.delivered += subscriber.delivered
        row.failed += subscriber.failed
        row.depth += depth
        row.away += is_away
        row.age_s = max(row.age_s, age_s)

    def _row(self, text: str) -> _Row:
        row = self._rows.get(text)
        if row is None and (text in self._others or len(self._rows) >= self._most):
            self._others[text] = self._scrape
            self.in_other += 1
            return self._other
        if row is None:
            row = self._rows[text] = _Row(text)
        if row.scrape != self._scrape:
            row.begin(self._scrape, self._at_begin.get(text, (0, 0)))
        return row

    def end(self) -> None:
        """End a scrape, which has found all subscribers: what is not among them has no series any more."""
        for text in [text for text, row in self._rows.items() if row.scrape != self._scrape]:
            del self._rows[text]
            self._released.pop(text, None)
        for text in [text for text, scrape in self._others.items() if scrape != self._scrape]:
            del self._others[text]

    def families(self) -> Iterator[tuple[Metric, Iterator[str]]]:
        """Yield the metrics with their samples, between `end` and the next `begin`."""
        yield SUBSCRIBER_DELIVERIES, _deliveries(self._found())
        queued, oldest, away = SUBSCRIBER_QUEUED.name, SUBSCRIBER_OLDEST.name, SUBSCRIBER_AWAY.name
        yield SUBSCRIBER_QUEUED, (f"{queued}{row.label}}} {row.depth}\n" for row in self._found())
        yield SUBSCRIBER_OLDEST, (f"{oldest}{row.label}}} {number(row.age_s)}\n" for row in self._found())
        yield SUBSCRIBER_AWAY, (f"{away}{row.label}}} {row.away}\n" for row in self._found())

    def _found(self) -> Iterator[_Row]:
        yield from self._rows.values()
        if self._others or self._other.delivered or self._other.failed:
            yield self._other


def _deliveries(rows: Iterator[_Row]) -> Iterator[str]:
    name = SUBSCRIBER_DELIVERIES.name
    for row in rows:
        yield f'{name}{row.label},outcome="delivered"}} {row.delivered}\n'
        yield f'{name}{row.label},outcome="failed"}} {row.failed}\n'
