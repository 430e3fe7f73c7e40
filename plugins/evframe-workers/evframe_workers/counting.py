"""What comes from one worker, counted where it belongs: at the subscribers of the front."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evframe.plugin import StatisticGroup
from evframe_workers import messages
from evframe_workers.commands import raised
from evframe_workers.records import log_again
from evframe_workers.settings import NAME

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, PluginContext, Subscriber
    from evframe_workers.ledger import Ledger


class Counting:
    """Counts the outcomes of one worker, and keeps its figures; see `evframe_workers.link.Front`.

    Args:
        worker: its number.
        context: of the plugin.
        results: called with the number of the worker and the answer to a command.
    """

    def __init__(self, worker: int, context: PluginContext, results: Callable[[int, bytes], None]) -> None:
        self._worker = worker
        self._context = context
        self._results = results
        self.subscribers: dict[int, Subscriber] = {}
        """Those of the worker, by the numbers of their ledgers."""
        self.statistics: Sequence[tuple[str, Mapping[str, int], Mapping[str, int]]] = ()
        """Of the worker's plugins, as they were a second ago: a name, counters and gauges."""
        self.described: Mapping[str, dict[str, Any]] = {}
        """What its plugins describe of subscribers, by their numbers as texts."""
        self._failing: set[int] = set()  # whose deliveries fail, as the worker has reported
        self._left_failing: set[int] = set()  # and as a worker that has ended had

    def delivered(self, ledger: Ledger, count: int, dones: Sequence[Done]) -> None:
        """Count delivered events."""
        subscriber = self.subscribers[ledger.number]
        subscriber.mirror(count, subscriber.away)
        if ledger.number in self._left_failing:
            self._left_failing.discard(ledger.number)
            self._notify(subscriber, None, None)
        if dones:
            subscriber.call_with(None, dones)

    def failed(self, ledger: Ledger, events: Sequence[Event], dones: Sequence[Done], reason: str) -> None:
        """Count events that have failed for good; some become dead letters here."""
        subscriber = self.subscribers[ledger.number]
        subscriber.fail(len(events), reason)
        if subscriber.keeps(reason):
            reasons = [reason] * len(events)
            self._context.plugins.notify(
                "events_failed", subscriber=subscriber, events=events, reasons=reasons, error=None
            )
        if dones:
            subscriber.call_with(reason, dones)

    def found(self, ledger: Ledger, away: str | None, *, is_reached: bool) -> None:
        """Keep why a peer cannot be reached."""
        subscriber = self.subscribers[ledger.number]
        subscriber.mirror(0, away)
        if is_reached:
            subscriber.record_probe(None)
        elif away is not None:
            subscriber.record_probe(away)

    def changed(self, ledger: Ledger, reason: str | None, event: Event | None) -> None:
        """Call the hook of the front's plugins, unless the event is one about deliveries."""
        if event is not None and event.definition.is_meta:
            return
        is_known = ledger.number in self._left_failing
        self._left_failing.discard(ledger.number)
        if reason is None:
            self._failing.discard(ledger.number)
        else:
            self._failing.add(ledger.number)
        if reason is None or not is_known:
            self._notify(self.subscribers[ledger.number], reason, event)

    def _notify(self, subscriber: Subscriber, reason: str | None, event: Event | None) -> None:
        self._context.plugins.notify("delivery_changed", socket=subscriber.socket, reason=reason, event=event)

    def end(self) -> None:
        """Note that the worker has ended: the next one does not know which deliveries have failed."""
        self._left_failing |= self._failing
        self._failing.clear()

    def forget(self, number: int) -> None:
        """Forget a subscriber that was released."""
        del self.subscribers[number]
        self._failing.discard(number)
        self._left_failing.discard(number)

    def take_other(self, kind: bytes, content: bytes) -> None:
        """Log a line, keep figures, or raise an event that a plugin of the worker has raised."""
        if kind == messages.LOG:
            log_again(content, self._worker)
        elif kind == messages.FIGURES:
            self.statistics, self.described = messages.read_json(content)
        elif kind == messages.RESULT:
            self._results(self._worker, content)
        elif kind == messages.RAISED:
            name, raised_at, payload = raised(content)
            raising = self._context.raising
            raising.raise_prepared(raising.event(name).restored(payload, raised_at))

    def settled(self) -> None:
        """Wake callers that wait for room."""
        self._context.roster.scheduler.room.announce()


def sums_of(counts: Iterable[Counting]) -> Sequence[StatisticGroup]:
    """Return the sums of what the plugins of all workers count, in groups named ``workers_...``."""
    sums: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for each in counts:
        for name, counters, gauges in each.statistics:
            counted, measured = sums.setdefault(name, (Counter(), Counter()))
            counted.update(counters)
            measured.update(gauges)
    return [StatisticGroup(f"{NAME}_{name}", *both) for name, both in sums.items()]
