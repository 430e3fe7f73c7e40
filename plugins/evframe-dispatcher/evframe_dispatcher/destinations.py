"""Destinations, and the sets that they are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
from evframe_probing import Target, parse_target, read_destinations

from evframe import ConfigError
from evframe_dispatcher.options import DEFAULT, DestinationOptions, Options
from evframe_dispatcher.state import STATES, Health

Name = tuple[str, int, str]
_SMOOTHING = 0.3


@attrs.define(eq=False)
class Destination:
    """One destination of a set."""

    partition: str
    set_id: int
    uri: str
    weight: int
    priority: int
    description: str
    target: Target = attrs.field(repr=False)
    health: Health = attrs.field(repr=False)
    latency_s: float | None = None
    """How long probes take, the latest of them counting most; None before the first good one."""
    credit: float = attrs.field(default=0.0, repr=False)
    """What its weight has brought it so far, less its turns."""
    chosen: int = 0
    """How often it was chosen."""
    failed_over: int = 0
    """How often it was chosen after another one had been."""
    attrs: str = ""
    """The text of the configuration for the code that uses it."""

    @classmethod
    def make(cls, given: DestinationOptions, options: Options) -> Destination:
        """Return the destination that *given* describes."""
        health = Health(
            options.ds_probing_threshold,
            always_probed=bool(options.ds_probing_mode or given.probe_mode),
            state=STATES[given.state],
        )
        return cls(
            partition=given.partition,
            set_id=given.set,
            uri=given.uri,
            weight=given.weight,
            priority=given.priority,
            description=given.description,
            target=parse_target(given.uri),
            health=health,
            attrs=given.attrs,
        )

    @property
    def name(self) -> Name:
        """Partition, set and URI."""
        return self.partition, self.set_id, self.uri

    @property
    def active(self) -> bool:
        """Whether it is used."""
        return self.health.active

    def record_latency(self, elapsed_s: float) -> None:
        """Record how long a good probe has taken."""
        before = self.latency_s
        self.latency_s = elapsed_s if before is None else before + _SMOOTHING * (elapsed_s - before)

    def inherit(self, old: Destination) -> None:
        """Continue as *old*, which had the same name, left off."""
        self.health.state, self.health.failures = old.health.state, old.health.failures
        self.latency_s, self.credit = old.latency_s, old.credit
        self.chosen, self.failed_over = old.chosen, old.failed_over


class Sets:
    """The destinations by partition and set; a set has them by priority, the highest first."""

    def __init__(self, destinations: Iterable[Destination] = ()) -> None:
        self._by_name = {destination.name: destination for destination in destinations}
        self.partitions: dict[str, dict[int, list[Destination]]] = {}
        for destination in sorted(self._by_name.values(), key=lambda each: -each.priority):
            sets = self.partitions.setdefault(destination.partition, {})
            sets.setdefault(destination.set_id, []).append(destination)
        if not self.partitions:
            self.partitions[DEFAULT] = {}

    def __iter__(self) -> Iterator[Destination]:
        return iter(self._by_name.values())

    def find(self, name: Name) -> Destination | None:
        """Return the destination of a name, or None."""
        return self._by_name.get(name)

    def set(self, set_id: int, partition: str) -> list[Destination]:
        """Return the destinations of a set.

        Raises:
            LookupError: if there is no such partition, or no such set in it.
        """
        sets = self.partitions.get(partition)
        if sets is None:
            raise LookupError(f"partition: expected one of {list(self.partitions)}, got {partition!r}")
        if set_id not in sets:
            raise LookupError(f"set_id: expected one of {sorted(sets)}, got {set_id!r}")
        return sets[set_id]


def load(options: Options) -> list[Destination]:
    """Return the configured destinations and those of the file.

    Raises:
        ConfigError: if the file is not as it should be, or one destination occurs twice.
    """
    given = list(options.destinations)
    if options.file is not None:
        given += read_destinations(options.file, DestinationOptions)
    destinations = [Destination.make(each, options) for each in given]
    problems = []
    seen: set[Name] = set()
    for destination in destinations:
        if destination.name in seen:
            problems.append(f"destinations: expected each once, got {destination.uri!r} in one set again")
        seen.add(destination.name)
    if problems:
        raise ConfigError(problems)
    return destinations
