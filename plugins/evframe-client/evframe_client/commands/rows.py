"""The rows of a table of subscribers, their sums, and which of them are shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import attrs
from evframe_wire.patterns import compile_pattern


@attrs.frozen
class Row:
    """One subscriber; what the gateway does not report is None. Times are seconds, and rates numbers a second.

    Args:
        socket: as the gateway lists it.
        state: `connected`, `away` or `unknown`.
        away: why it cannot be reached.
        since: how long it has had this state.
        rate: events delivered a second, between this sample and the one before.
        depth: how many events wait or are under way.
        oldest: how long the first event that waits has waited.
        failed: how many events have failed.
        loss: events that have failed a second, between this sample and the one before.
        reason: of the last failure.
        reason_age: how long ago that was.
        lease: how long its first lease lasts; `never` when it has no end.
    """

    socket: str
    state: str | None = None
    away: str | None = None
    since: float | None = None
    rate: float | None = None
    depth: int | None = None
    oldest: float | None = None
    failed: int | None = None
    loss: float | None = None
    reason: str | None = None
    reason_age: float | None = None
    lease: float | str | None = None


COLUMNS: Final = ("socket", "state", "since", "rate", "depth", "oldest", "failed", "loss", "reason", "lease")
"""What rows are sorted by."""
STATES: Final = ("connected", "away", "unknown")
_AT_GATEWAY: Final = {
    **{name: name for name in ("socket", "state", "since", "depth", "oldest", "failed", "lease")},
    "reason": "last_reason",
}
_NEARLY: Final = {"rate": "delivered", "loss": "failed"}  # what the gateway knows of numbers between two samples


@attrs.frozen
class Total:
    """The sums over all subscribers that match, whether they have a row or not; None is what is not reported."""

    subscribers: int
    matched: int
    connected: int | None = None
    away: int | None = None
    unknown: int | None = None
    rate: float | None = None
    depth: int | None = None
    failed: int | None = None
    loss: float | None = None


@attrs.frozen
class Sample:
    """The subscribers at one time, which is seconds since 1970."""

    time: float
    rows: tuple[Row, ...]
    total: Total

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of this sample, in which every row has all members."""
        at = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        return {"time": at, "subscribers": [attrs.asdict(row) for row in self.rows], "total": attrs.asdict(self.total)}


@attrs.frozen
class Query:
    """Which subscribers are shown.

    Args:
        order: a column to sort by, such as ``depth``; with ``-`` before it, the highest come first.
        pattern: what the sockets match.
        state: that of the subscribers.
        limit: how many have a row; None for all.
    """

    order: str = "socket"
    pattern: str | None = None
    state: str | None = None
    limit: int | None = None

    @property
    def column(self) -> str:
        """The column to sort by."""
        return self.order.removeprefix("-")

    @property
    def is_known(self) -> bool:
        """Whether the gateway knows the column, and not only the number that it is the rate of."""
        return self.column in _AT_GATEWAY

    def params(self, limit: int | None) -> dict[str, Any]:
        """Return the parameters of `evi:statistics`; without *limit* all rows."""
        known = _AT_GATEWAY.get(self.column) or _NEARLY[self.column]
        sort = f"-{known}" if self.order.startswith("-") else known
        given = {"sort": sort, "filter": self.pattern, "state": self.state, "limit": limit}
        return {name: value for name, value in given.items() if value is not None}

    def matches(self, row: Row) -> bool:
        """Return whether *row* is one of those that are shown."""
        if self.state not in {None, row.state}:
            return False
        return self.pattern is None or compile_pattern(self.pattern).match(row.socket) is not None


def ordered(rows: Iterable[Row], order: str) -> list[Row]:
    """Return *rows* sorted by the column *order*, in reverse with ``-`` before it; those without a value are last."""
    column = order.removeprefix("-")
    by_socket = sorted(rows, key=lambda row: row.socket)
    known = [row for row in by_socket if getattr(row, column) is not None]
    known.sort(key=lambda row: _key(getattr(row, column)), reverse=order.startswith("-"))
    return known + [row for row in by_socket if getattr(row, column) is None]


def _key(value: float | str) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, value, "")  # a lease that never ends is longest
