"""The statistics of OpenSIPS, filled with the counts of the interface and its plugins, and their commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from evframe.plugin import Command, CommandError, StatisticGroup, invalid_params
from evframe_mi.load import Load
from evframe_mi.policy import Policies

if TYPE_CHECKING:
    from evframe.plugin import PluginContext

ALL: Final = "all"
_WANTED: Final = "statistics"


def statistics_commands(context: Callable[[], PluginContext], load: Load, policies: Policies) -> Iterator[Command]:
    """Yield the ``statistics:`` commands.

    Args:
        context: returns the context of the plugin.
        load: measures the process.
        policies: of the management interfaces, with the number of refused requests.
    """
    statistics = _Statistics(context, load, policies)
    yield Command(
        "statistics:get",
        ((_WANTED,),),
        statistics.get,
        "gets the values of statistics, an array of names, groups as group: or all",
        ("get_statistics",),
    )
    yield Command(
        "statistics:list",
        ((), (_WANTED,)),
        statistics.list,
        "lists which statistics there are, all or those of the array statistics, and which of them only grow",
        ("list_statistics",),
    )


class _Statistics:
    def __init__(self, context: Callable[[], PluginContext], load: Load, policies: Policies) -> None:
        self._context = context
        self._policies = policies
        self._load = load
        self._started = time.monotonic()

    def get(self, params: Mapping[str, Any]) -> dict[str, int]:
        wanted = _wanted(params[_WANTED])
        return _chosen(wanted, ((group.name, {**group.counters, **group.gauges}) for group in self._groups()))

    def list(self, params: Mapping[str, Any]) -> dict[str, str]:
        wanted = _wanted(params[_WANTED]) if _WANTED in params else [ALL]
        return _chosen(wanted, ((group.name, _kinds(group)) for group in self._groups()))

    def _groups(self) -> Iterator[StatisticGroup]:
        """Yield the groups of the core, then those of each plugin."""
        context = self._context()
        resolver = context.resolver
        yield StatisticGroup("core", {"timestamp": int(time.monotonic() - self._started)})
        yield StatisticGroup("load", {}, {"processes_number": 1, **self._load.statistics()})
        yield StatisticGroup("dns", {"dns_total_queries": resolver.lookups, "dns_slow_queries": resolver.late_lookups})
        yield _of_events(context, self._policies.refused.total())
        yield from context.plugins.statistics()


def _of_events(context: PluginContext, refused: int) -> StatisticGroup:
    totals = context.roster.totals
    return StatisticGroup(
        "evi",
        {
            "raised": totals.raised,
            "delivered": totals.delivered,
            "failed": totals.failed,
            "refused": refused,
        },
        {
            "events": sum(1 for _ in context.raising.events),
            "subscribers": len(context.roster.subscribers),
            "queued": totals.depth,
        },
    )


def _kinds(group: StatisticGroup) -> dict[str, str]:
    return {**dict.fromkeys(group.counters, "incremental"), **dict.fromkeys(group.gauges, "non-incremental")}


def _wanted(given: Any) -> list[str]:
    """Return the names in a request of a client; a single name need not be in an array."""
    if isinstance(given, str) and given:
        return [given]
    if not isinstance(given, list):
        raise invalid_params(f"Bad type for parameter '{_WANTED}'")
    if not given:
        raise invalid_params(f"Empty array in parameter '{_WANTED}'")
    if not all(isinstance(item, str) for item in given):
        raise invalid_params(f"Bad type for array item in parameter '{_WANTED}'")
    return given


def _chosen(wanted: list[str], groups: Iterator[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the statistics of *groups* that *wanted* names, by ``group:name``.

    Raises:
        CommandError: if *wanted* names no statistic.
    """
    texts = frozenset(wanted)
    found = {
        full: value
        for group, values in groups
        for name, value in values.items()
        if texts & {ALL, f"{group}:", name, full := f"{group}:{name}"}
    }
    if not found:
        raise CommandError(404, "Statistics Not Found")
    return found
