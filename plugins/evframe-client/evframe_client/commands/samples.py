"""What the management interface of a gateway reports about each subscriber, read again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from evframe_client import ManagementError
from evframe_client.commands.rows import STATES, Query, Row, Sample, Total, ordered

_NO_METHOD: Final = -32601
_INVALID_PARAMS: Final = -32602
_SERVER_ERROR: Final = -32000
_MOST: Final = 1 << 63  # of a number that is shown
_FEW: Final = 100  # rows, which fit into a datagram


@attrs.frozen
class _Counted:
    """Counters at the time of a sample, on a monotonic clock."""

    at: float
    delivered: float | None
    failed: float | None

    def rates(self, before: _Counted | None) -> tuple[float | None, float | None]:
        """Return the delivered and the failed events a second."""
        if before is None or self.at <= before.at:
            return None, None
        passed = self.at - before.at
        return _rate(self.delivered, before.delivered, passed), _rate(self.failed, before.failed, passed)


def _rate(now: float | None, before: float | None, passed: float) -> float | None:
    # Fewer than before are those of a gateway that has started again.
    return None if now is None or before is None or now < before else (now - before) / passed


class Sampler:
    """Asks a gateway about its subscribers; a rate is that between two samples.

    Args:
        call: calls a management command with its parameters, such as `Client.call`.
        query: which subscribers are asked for; it may be exchanged at any time.
        clock: returns seconds on a monotonic clock.
    """

    def __init__(
        self,
        call: Callable[[str, dict[str, Any] | None], Any],
        query: Query | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self.query = query or Query()
        self._clock = clock
        self._seen: dict[str | Query, _Counted] = {}

    def sample(self) -> Sample:
        """Return what the gateway reports now.

        Raises:
            ManagementError: if it does not answer, or with something else.
        """
        query = self.query
        try:
            answer = self._page(query)
        except ManagementError as error:
            if error.code not in {_NO_METHOD, _INVALID_PARAMS}:
                raise
            answer = None  # an OpenSIPS, which counts nothing for its subscribers
        at = self._clock()
        seen, self._seen = self._seen, {}  # a subscriber that has left and comes again begins anew
        if answer is None:
            leases = _leases(self._call("subscribers_list", None))
            rows = [row for row in map(_listed_row, leases, leases.values()) if query.matches(row)]
            total = _total_of(len(leases), rows)
        else:
            rows = [self._row(counters, at, seen) for counters in _members(answer, "Subscribers")]
            total = self._total(answer.get("Total") if isinstance(answer, Mapping) else None, query, at, seen)
        return Sample(time.time(), tuple(ordered(rows, query.order)[: query.limit]), total)

    def _page(self, query: Query) -> Any:
        """Return the answer about a page; where all rows are too long for a datagram, about the first of them."""
        limit = query.limit if query.is_known else None
        try:
            return self._call("evi:statistics", query.params(limit))
        except ManagementError as error:
            if error.code != _SERVER_ERROR or "Reply of" not in str(error.data):
                raise
        return self._call("evi:statistics", query.params(_FEW))

    def _row(self, counters: Mapping[str, Any], at: float, seen: Mapping[str | Query, _Counted]) -> Row:
        socket = str(counters.get("socket"))
        now = self._seen[socket] = _Counted(at, _number(counters.get("delivered")), _number(counters.get("failed")))
        rate, loss = now.rates(seen.get(socket))
        state = _text(counters.get("state"))
        return Row(
            socket,
            state,
            _text(counters.get("away")) if state == "away" else None,
            _number(counters.get("since")),
            rate,
            _whole(counters.get("depth")),
            _number(counters.get("oldest")),
            _whole(counters.get("failed")),
            loss,
            _text(counters.get("last_reason")),
            _number(counters.get("last_failed")),
            _lease_of(counters.get("lease")),
        )

    def _total(self, sums: Any, query: Query, at: float, seen: Mapping[str | Query, _Counted]) -> Total:
        sums = sums if isinstance(sums, Mapping) else {}
        of = Query(pattern=query.pattern)
        now = _Counted(at, _number(sums.get("delivered")), _number(sums.get("failed")))
        if query.state is None:  # those of a state are others at each sample
            self._seen[of] = now
        rate, loss = now.rates(seen.get(of) if query.state is None else None)
        numbers = {name: _whole(sums.get(name)) for name in ("subscribers", "matched", *STATES, "depth", "failed")}
        subscribers, matched = numbers.pop("subscribers"), numbers.pop("matched")
        return Total(subscribers or 0, matched or 0, rate=rate, loss=loss, **numbers)


def _listed_row(socket: str, leases: list[Mapping[str, Any]]) -> Row:
    """Return the row of a socket with its leases in `subscribers_list`."""
    first = leases[0]
    state = _text(first.get("state"))
    return Row(
        socket,
        state,
        _text(first.get("away")) if state == "away" else None,
        depth=_whole(first.get("depth", 0 if "state" in first else None)),  # a listing has no depth of 0
        oldest=max((age for lease in leases if (age := _number(lease.get("oldest"))) is not None), default=None),
        lease=_first_end(leases),
    )


def _total_of(subscribers: int, rows: list[Row]) -> Total:
    states = [row.state for row in rows]
    known = {name: states.count(name) for name in STATES} if any(states) else {}
    return Total(subscribers, len(rows), **known)


def _first_end(leases: Iterable[Mapping[str, Any]]) -> float | str | None:
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


def _members(value: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in the array *name* of *value*; an answer that has none counts as empty."""
    members = value.get(name) if isinstance(value, Mapping) else None
    yield from (member for member in (members if isinstance(members, list) else ()) if isinstance(member, Mapping))


def _lease_of(value: Any) -> float | str | None:
    return "never" if value == "never" else _number(value)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and -_MOST < value < _MOST else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
