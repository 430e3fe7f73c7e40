"""One scrape: the numbers that are kept anyhow, read and written in slices of the loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evframe_timing import Slices, portions

from evframe_metrics import catalog
from evframe_metrics.exposition import END, family, samples
from evframe_metrics.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evframe.plugin import PluginContext, StatisticGroup
    from evframe_metrics.catalog import Metric
    from evframe_metrics.delays import Delays
    from evframe_metrics.detail import Detail

Family = tuple["Metric", Iterator[str]]


class Scrape:
    """Reads the numbers of an interface.

    Args:
        context: of the plugin.
        delays: the histograms.
        detail: which subscribers have series, or None.
    """

    def __init__(self, context: PluginContext, delays: Delays, detail: Detail | None) -> None:
        self._context = context
        self._delays = delays
        self._detail = detail

    async def text(
        self, groups: Sequence[StatisticGroup], state: Mapping[Metric, int], *, is_open: bool
    ) -> list[bytes]:
        """Return the text in pieces.

        Args:
            groups: the statistics of the plugins.
            state: of the process, by metric.
            is_open: whether the format is OpenMetrics.
        """
        slices = Slices()
        families = [*self._events(), *await self._subscribers(slices), (catalog.DELAY, self._delays.lines())]
        families += _of_groups(groups)
        for metric, value in (
            *state.items(),
            (catalog.IN_OTHER, 0 if self._detail is None else self._detail.in_other),
        ):
            families.append((metric, samples(metric, [((), value)])))
        pieces = []
        for metric, lines in families:
            for piece in family(metric, lines, is_open=is_open):
                pieces.append(piece)
                await slices.pause()
        return [*pieces, END.encode()] if is_open else pieces

    def _events(self) -> Iterator[Family]:
        events = list(self._context.raising.events)
        for metric, found in (
            (catalog.RAISED, [((event.name,), event.raised) for event in events]),
            (catalog.LEASES, [((event.name,), len(event.leases)) for event in events]),
        ):
            yield metric, samples(metric, found)

    async def _subscribers(self, slices: Slices) -> list[Family]:
        detail = self._detail
        if detail is not None:
            detail.begin()
        sums = Sums(self._context, detail)
        for portion in portions(sums.subscribers):
            for subscriber in portion:
                sums.add(subscriber)
            await slices.pause()
        if detail is None:
            return list(sums.families())
        detail.end()
        return [*sums.families(), *detail.families()]


def _of_groups(groups: Sequence[StatisticGroup]) -> Iterator[Family]:
    """Yield what plugins count: what has a metric, then the rest by group and name."""
    counters: dict[tuple[str, ...], float] = {}
    gauges: dict[tuple[str, ...], float] = {}
    for group in groups:
        for name, value in group.counters.items():
            counters[group.name, name] = value
        for name, value in group.gauges.items():
            metric = catalog.FROM_GROUPS.get((group.name, name))
            if metric is None:
                gauges[group.name, name] = value
            else:
                yield metric, samples(metric, [((), value)])
    yield catalog.PLUGIN_COUNTER, samples(catalog.PLUGIN_COUNTER, counters.items())
    yield catalog.PLUGIN_GAUGE, samples(catalog.PLUGIN_GAUGE, gauges.items())
