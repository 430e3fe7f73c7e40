"""What a snapshot has of each subscriber and each event, and the page of a table that is asked for."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import attrs
from evframe_timing import Slices, portions

if TYPE_CHECKING:
    from evframe.plugin import Subscriber

MOST_ROWS: Final = 200
"""How many rows one answer has at most."""
_AT_ONCE: Final = 256


@attrs.define(slots=True, eq=False)
class SubscriberRow:
    """A subscriber as it was at the last snapshot.

    The row stays from one snapshot to the next: ten thousand new ones would have the collector of garbage hold up the
    loop for milliseconds.
    """

    subscriber: Subscriber
    key: str
    """The canonical text of its socket."""
    transport: str
    socket: str = ""
    state: str = ""
    since_s: float | None = None
    reason: str = ""
    queued: int = 0
    oldest_s: float = 0.0
    raised: int = 0
    delivered: int = 0
    failed: int = 0
    leases: int = 0
    left_s: float = math.inf
    """Of the lease that ends first; infinite when none ends."""
    events: tuple[str, ...] = ()
    """The names of the first events that it is subscribed to."""
    number: int = 0
    """Of the snapshot."""

    def begin(self, number: int) -> None:
        """Begin the snapshot with this number, in which no lease was found yet."""
        self.number = number
        self.leases = 0
        self.left_s = math.inf
        self.events = ()

    def shown(self) -> dict[str, Any]:
        """Return what the page shows."""
        row = {name: getattr(self, name) for name in _SHOWN}
        row["left_s"] = None if math.isinf(self.left_s) else round(self.left_s)
        return row

    def matches(self, needle: str) -> bool:
        """Return whether *needle*, in small letters, is in one of its texts."""
        texts = (self.socket, self.state, self.reason, *self.events)
        return any(needle in text.casefold() for text in texts)


_SHOWN: Final = tuple(field.name for field in attrs.fields(SubscriberRow) if field.name not in {"subscriber", "number"})


@attrs.define(slots=True)
class EventRow:
    """An event as it was at the snapshot."""

    name: str
    raised: int = 0
    rate: float | None = None
    """Raises in a second since the snapshot before; None without one."""
    leases: int = 0
    source: str = ""
    """The plugin that declares it; empty where none does."""
    summary: str = ""

    def shown(self) -> dict[str, Any]:
        """Return what the page shows."""
        return attrs.asdict(self)

    def matches(self, needle: str) -> bool:
        """Return whether *needle*, in small letters, is in one of its texts."""
        return any(needle in text.casefold() for text in (self.name, self.source, self.summary))


class Row(Protocol):
    """A row of a table."""

    def shown(self) -> dict[str, Any]:
        """Return what the page shows."""

    def matches(self, needle: str) -> bool:
        """Return whether *needle*, in small letters, is in one of its texts."""


RowT = TypeVar("RowT", bound=Row)
_ORDER: Final = {"away": 0, "failing": 1, "ending": 2, "unknown": 3, "listening": 4, "connected": 5}
SUBSCRIBER_KEYS: Final[Mapping[str, Callable[[SubscriberRow], Any]]] = {
    "state": lambda row: (_ORDER.get(row.state, 9), row.socket),
    "socket": lambda row: row.socket,
    "since_s": lambda row: (math.inf if row.since_s is None else row.since_s, row.socket),
    "queued": lambda row: (row.queued, row.socket),
    "oldest_s": lambda row: (row.oldest_s, row.socket),
    "delivered": lambda row: (row.delivered, row.socket),
    "failed": lambda row: (row.failed, row.socket),
    "reason": lambda row: (row.reason, row.socket),
    "left_s": lambda row: (row.left_s, row.socket),
}
"""By what subscribers are sorted."""
EVENT_KEYS: Final[Mapping[str, Callable[[EventRow], Any]]] = {
    "name": lambda row: row.name,
    "raised": lambda row: (row.raised, row.name),
    "rate": lambda row: (row.rate or 0.0, row.name),
    "leases": lambda row: (row.leases, row.name),
    "source": lambda row: (row.source, row.name),
}
"""By what events are sorted."""


@attrs.frozen
class Query:
    """Which rows of a table are asked for."""

    text: str = ""
    sort: str = ""
    is_descending: bool = False
    offset: int = 0
    limit: int = 50


@attrs.frozen
class Found:
    """The rows that are asked for, and how many match."""

    rows: Sequence[Any]
    matched: int
    of: int


async def select(
    rows: Sequence[RowT], query: Query, keys: Mapping[str, Callable[[RowT], Any]], slices: Slices
) -> Found:
    """Return the rows that *query* asks for, sorted a portion at a time, so that no turn of the loop is long.

    Raises:
        ValueError: if *query* sorts by what is no key.
    """
    key = keys.get(query.sort)
    if key is None:
        raise ValueError(f"sort: expected one of {', '.join(keys)}, got {query.sort!r}")
    needle = query.text.casefold()
    sorted_portions = []
    for portion in portions(list(rows), _AT_ONCE):
        found = [row for row in portion if row.matches(needle)] if needle else portion
        sorted_portions.append(sorted(found, key=key, reverse=query.is_descending))
        await slices.pause()
    merged = heapq.merge(*sorted_portions, key=key, reverse=query.is_descending)
    await _skip(merged, query.offset, slices)
    chosen = list(islice(merged, query.limit))
    return Found(chosen, sum(map(len, sorted_portions)), len(rows))


async def _skip(rows: Iterable[Any], count: int, slices: Slices) -> None:
    for _ in portions(islice(rows, count), _AT_ONCE):
        await slices.pause()
