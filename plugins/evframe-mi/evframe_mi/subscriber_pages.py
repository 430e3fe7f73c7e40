"""The counters of each subscriber, with its state; also a page of them, sorted and filtered by the gateway."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
from evframe_wire.patterns import compile_pattern

from evframe import Counters
from evframe.plugin import Listing, int_param, invalid_params, text_param

if TYPE_CHECKING:
    from re import Pattern

    from evframe.plugin import Channel, PluginContext, Subscriber

_Result = TypeVar("_Result")
PAGE_KEYS: Final = ("filter", "limit", "sort", "state")
"""The parameters of a page."""
_COUNTED: Final = tuple(field.name for field in attrs.fields(Counters))
_STATES: Final = ("connected", "away", "unknown")
_SUMS: Final = ("raised", "delivered", "failed", "depth")
_COLUMNS: Final = (
    *("socket", "state", "since", "raised", "delivered", "depth", "oldest", "failed"),
    *("last_reason", "last_failed", "lease"),
)
_NEVER: Final = "never"
_STEP: Final = 64  # subscribers, or leases
_TURN_S: Final = 0.002


def counted(counters: Counters) -> dict[str, Any]:
    """Return the listing of *counters*: the reason `away` only while a subscriber is away, and no state for sums."""
    listed = {name: getattr(counters, name) for name in _COUNTED}
    return {name: value for name, value in listed.items() if value is not None}


class SubscriberPages:
    """Lists the subscribers of an interface.

    Args:
        context: of the plugin.
    """

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    def row(self, subscriber: Subscriber) -> dict[str, Any]:
        """Return the counters of *subscriber*, its state and last failure; times are seconds ago."""
        now = time.monotonic()
        row = counted(self._context.roster.counters_of(subscriber))
        if subscriber.away is not None or "away" not in row:  # since when a name has no address is not known
            row["since"] = _passed(now, subscriber.changed_at)
        if subscriber.last_failure is not None:
            row["last_reason"], failed_at = subscriber.last_failure
            row["last_failed"] = _passed(now, failed_at)
        oldest = subscriber.queue.oldest if row["depth"] else None
        if oldest is not None:
            row["oldest"] = _passed(now, oldest)
        return row

    def page(self, params: Mapping[str, Any]) -> dict[str, Any] | asyncio.Future[dict[str, Any]]:
        """Return the first subscribers in an order, and the sums over all that match; in turns of the loop.

        Args:
            params: ``limit``, ``sort`` (a column, with ``-`` before it the highest first), ``filter`` (a pattern of
                the sockets) and ``state``, each of which may be left out.

        Raises:
            CommandError: if one of them cannot be used.
        """
        return in_turns(self._page(_Wanted.of(params)))

    def _page(self, wanted: _Wanted) -> Generator[None, None, dict[str, Any]]:
        self._context.leases.expire()
        subscribers = self._context.roster.subscribers
        leases = (yield from self._leases(subscribers)) if wanted.column == "lease" else {}
        total = _Total(len(subscribers))
        runs: list[list[tuple[tuple[bool, Any], str, Subscriber]]] = []
        for some in _slices(subscribers):
            run = []
            for subscriber in some:
                row = self.row(subscriber)
                if wanted.matches(row):
                    total.add(row)
                    value = leases.get(subscriber) if wanted.column == "lease" else row.get(wanted.column)
                    run.append((wanted.rank(value), row["socket"], subscriber))
            runs.append(sorted(run, key=_rank, reverse=wanted.is_reversed))
            yield
        merged = heapq.merge(*runs, key=_rank, reverse=wanted.is_reversed)
        chosen: list[Subscriber] = []
        for _, _, subscriber in merged:
            if len(chosen) == wanted.limit:
                break
            chosen.append(subscriber)
            if len(chosen) % _STEP == 0:
                yield
        leases = leases or (yield from self._leases(chosen))

        def with_lease(subscriber: Subscriber) -> dict[str, Any]:
            row = self.row(subscriber)
            return {**row, "lease": leases[subscriber]} if subscriber in leases else row

        return {"Subscribers": Listing(chosen, with_lease), "Total": total.listed()}

    def _leases(self, wanted: Sequence[Subscriber]) -> Generator[None, None, dict[Subscriber, int | str]]:
        """Return the seconds until the first lease of each of the *wanted* subscribers ends."""
        found: dict[Subscriber, int | str] = {}
        chosen = frozenset(wanted)
        for event in self._context.raising.events:
            shorter = wanted if len(wanted) < len(event.leases) else tuple(event.leases)
            for some in _slices(shorter):
                self._add_leases(event, [each for each in some if each in chosen], found)
                yield
        return found

    def _add_leases(self, event: Channel, some: Sequence[Subscriber], found: dict[Subscriber, int | str]) -> None:
        for subscriber in some:
            lease = event.leases.get(subscriber)
            if lease is not None:
                left = self._context.leases.remaining_s(lease) if lease.expire_s else _NEVER
                found[subscriber] = min(left, found.get(subscriber, _NEVER), key=_length)


def _length(left: float | str) -> float:
    return float("inf") if isinstance(left, str) else left


def _rank(entry: tuple[tuple[bool, Any], str, Subscriber]) -> tuple[tuple[bool, Any], str]:
    return entry[:2]


def _passed(now: float, at: float) -> float:
    return round(max(0.0, now - at), 3)


def _slices(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _STEP] for start in range(0, len(items), _STEP))


@attrs.frozen
class _Wanted:
    """What a page shows."""

    column: str
    is_reversed: bool
    limit: int | None
    pattern: Pattern[str] | None
    state: str | None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> _Wanted:
        """Return what *params* ask for."""
        order = text_param(params, "sort") if "sort" in params else "socket"
        column = order.removeprefix("-")
        limit = int_param(params, "limit") if "limit" in params else None
        state = text_param(params, "state") if "state" in params else None
        if column not in _COLUMNS:
            raise invalid_params(f"sort: expected {', '.join(_COLUMNS)}, or one after '-'")
        if limit is not None and limit < 0:
            raise invalid_params("limit: expected 0 or more")
        if state not in {None, *_STATES}:
            raise invalid_params(f"state: expected {', '.join(_STATES)}")
        pattern = compile_pattern(text_param(params, "filter")) if "filter" in params else None
        return cls(column, order.startswith("-"), limit, pattern, state)

    def matches(self, row: Mapping[str, Any]) -> bool:
        if self.state not in {None, row["state"]}:
            return False
        return self.pattern is None or self.pattern.match(row["socket"]) is not None

    def rank(self, value: Any) -> tuple[bool, Any]:
        """Return the place of *value* in the order; what has no value is last, and a lease without an end longest."""
        if self.column == "lease" and value is not None:
            value = _length(value)
        is_last = (value is None) is not self.is_reversed
        return is_last, 0 if value is None else value


@attrs.define
class _Total:
    """The sums over the subscribers that match."""

    subscribers: int
    matched: int = 0
    states: Counter[str] = attrs.field(factory=Counter)
    sums: Counter[str] = attrs.field(factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        self.matched += 1
        self.states[row["state"]] += 1
        for name in _SUMS:
            self.sums[name] += row[name]

    def listed(self) -> dict[str, Any]:
        numbers = {"subscribers": self.subscribers, "matched": self.matched}
        return {**numbers, **{name: self.states[name] for name in _STATES}, **{name: self.sums[name] for name in _SUMS}}


def in_turns(
    steps: Generator[None, None, _Result], clock: Callable[[], float] = time.monotonic
) -> _Result | asyncio.Future[_Result]:
    """Return the result of *steps*, or the future of it when they take more than a moment; at once without a loop."""
    until = clock() + _TURN_S
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        until = float("inf")
    try:
        while clock() < until:
            next(steps)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # the return value of the generator
    result: asyncio.Future[_Result] = loop.create_future()

    def proceed() -> None:
        until = clock() + _TURN_S
        try:
            while not result.done() and clock() < until:
                next(steps)
        except StopIteration as end:
            result.set_result(end.value)
        except Exception as error:  # noqa: BLE001 raised where the result is read
            result.set_exception(error)
        else:
            if not result.done():
                loop.call_soon(proceed)

    loop.call_soon(proceed)
    return result
