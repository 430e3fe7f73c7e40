"""What the management interface of a gateway reports about each subscriber, read again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from re import Pattern
from typing import Any, Final

import attrs

from evframe_client import ManagementError

_NO_METHOD: Final = -32601
_MOST: Final = 1 << 63  # of a number that is shown


@attrs.frozen
class Row:
    """One subscriber; what the gateway does not report is None.

    Args:
        socket: as the gateway lists it.
        state: `connected`, `away` or `unknown`.
        away: why it cannot be reached.
        since: seconds since a sample first had this state, once a change of it was seen.
        rate: events delivered a second, between this sample and the one before.
        depth: how many events wait or are under way.
        oldest: seconds since the raise of the first event that waits.
        failed: how many events have failed.
        reason: of the last failure, as far as it is known: of the one that was counted last.
        lease: seconds until its first lease ends; `never`.
    """

    socket: str
    state: str | None = None
    away: str | None = None
    since: float | None = None
    rate: float | None = None
    depth: int | None = None
    oldest: float | None = None
    failed: int | None = None
    reason: str | None = None
    lease: float | str | None = None


COLUMNS: Final = ("socket", "state", "since", "rate", "depth", "oldest", "failed", "reason", "lease")
"""What rows are sorted by."""


@attrs.frozen
class Sample:
    """The subscribers at one time, which is seconds since 1970."""

    time: float
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of this sample, in which every row has all members."""
        at = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        return {"time": at, "subscribers": [attrs.asdict(row) for row in self.rows]}


@attrs.define
class _Seen:
    """What earlier samples had of one subscriber."""

    at: float
    delivered: float | None = None
    reasons: Mapping[str, float] = attrs.field(factory=dict)
    reason: str | None = None
    state: str | None = None
    changed: float | None = None


class Sampler:
    """Asks a gateway about its subscribers; a rate is that between two samples.

    Args:
        call: calls a management command, such as `Client.call`.
        order: a column to sort by, such as ``depth``; with ``-`` before it, the highest come first.
        pattern: what the sockets match.
        clock: returns seconds on a monotonic clock.
    """

    def __init__(
        self,
        call: Callable[[str], Any],
        order: str = "socket",
        pattern: Pattern[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self._order = order
        self._pattern = pattern
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def sample(self) -> Sample:
        """Return what the gateway reports now.

        Raises:
            ManagementError: if it does not answer, or with something else.
        """
        listed = _leases(self._call("subscribers_list"))
        counted = _counters(self._counters())
        at = self._clock()
        seen = self._seen
        self._seen = {}  # a subscriber that has left and comes again begins anew
        rows = []
        for socket in listed | counted:
            leases, counters = listed.get(socket, []), counted.get(socket, {})
            now = self._seen[socket] = _Seen(at, _number(counters.get("delivered")), _reasons(counters))
            rows.append(_row(socket, leases, counters, now, seen.get(socket)))
        chosen = [row for row in rows if self._pattern is None or self._pattern.match(row.socket)]
        return Sample(time.time(), tuple(ordered(chosen, self._order)))

    def _counters(self) -> Any:
        try:
            return self._call("evi:statistics")
        except ManagementError as error:
            if error.code != _NO_METHOD:
                raise
            return {}  # an OpenSIPS counts nothing for its subscribers


def ordered(rows: Iterable[Row], order: str) -> list[Row]:
    """Return *rows* sorted by the column *order*, in reverse with ``-`` before it; those without a value are last."""
    column = order.removeprefix("-")
    by_socket = sorted(rows, key=lambda row: row.socket)
    known = [row for row in by_socket if getattr(row, column) is not None]
    known.sort(key=lambda row: _key(getattr(row, column)), reverse=order.startswith("-"))
    return known + [row for row in by_socket if getattr(row, column) is None]


def _key(value: float | str) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, value, "")  # a lease that never ends is longest


def _row(
    socket: str, leases: list[Mapping[str, Any]], counters: Mapping[str, Any], now: _Seen, before: _Seen | None
) -> Row:
    known = {**(leases[0] if leases else {}), **counters}
    now.state = _text(known.get("state"))
    now.reason = _last_reason(now, before)
    if before is not None:
        now.changed = before.changed if now.state == before.state else now.at
    depth = _number(known.get("depth", 0 if "state" in known else None))  # a listing has no depth of 0
    failed = _number(counters.get("failed"))
    return Row(
        socket,
        now.state,
        _text(known.get("away")) if now.state == "away" else None,
        None if now.changed is None else now.at - now.changed,
        _rate(now, before),
        None if depth is None else int(depth),
        max((age for lease in leases if (age := _number(lease.get("oldest"))) is not None), default=None),
        None if failed is None else int(failed),
        now.reason,
        _lease(leases),
    )


def _rate(now: _Seen, before: _Seen | None) -> float | None:
    if before is None or now.delivered is None or before.delivered is None or now.at <= before.at:
        return None
    grown = now.delivered - before.delivered
    return grown / (now.at - before.at) if grown >= 0 else None  # the gateway has started again


def _last_reason(now: _Seen, before: _Seen | None) -> str | None:
    earlier = {} if before is None else before.reasons
    grown = [reason for reason, count in now.reasons.items() if count > earlier.get(reason, 0)]
    if before is None and len(grown) > 1:
        return None  # which of them is the last one is not reported
    if grown:
        return grown[-1]
    return before.reason if before is not None and now.reasons else None


def _lease(leases: Iterable[Mapping[str, Any]]) -> float | str | None:
    left = [_number(0 if lease["ttl"] == "expired" else lease["ttl"]) for lease in leases if "ttl" in lease]
    ending = [seconds for seconds in left if seconds is not None]
    if ending:
        return min(ending)
    return "never" if any(lease.get("expire") == "never" for lease in leases) else None


def _leases(result: Any) -> dict[str, list[Mapping[str, Any]]]:
    leases: dict[str, list[Mapping[str, Any]]] = {}
    for event in _members(result, "Events"):
        for lease in _members(event, "Subscribers"):
            leases.setdefault(str(lease.get("socket")), []).append(lease)
    return leases


def _counters(result: Any) -> dict[str, Mapping[str, Any]]:
    return {str(counters.get("socket")): counters for counters in _members(result, "Subscribers")}


def _members(value: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in the array *name* of *value*; an answer that has none counts as empty."""
    members = value.get(name) if isinstance(value, Mapping) else None
    yield from (member for member in (members if isinstance(members, list) else ()) if isinstance(member, Mapping))


def _reasons(counters: Mapping[str, Any]) -> dict[str, float]:
    reasons = counters.get("reasons")
    pairs = reasons.items() if isinstance(reasons, Mapping) else ()
    return {reason: count for reason, given in pairs if (count := _number(given)) is not None}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and -_MOST < value < _MOST else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
