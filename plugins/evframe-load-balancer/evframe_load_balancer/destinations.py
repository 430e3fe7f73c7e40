"""Destinations: whether they are used, what they provide, and how much of it is in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from evframe_probing import Reply, Target, parse_target, read_destinations

from evframe import ConfigError
from evframe_load_balancer.options import DestinationOptions, Options


@attrs.define(eq=False)
class Destination:
    """One destination.

    What changes whether it is enabled returns whether that is another answer than before.
    """

    id: int
    group: int
    uri: str
    probe_mode: int
    description: str
    target: Target = attrs.field(repr=False)
    capacity: dict[str, int]
    """The largest load of each resource."""
    load: dict[str, int] = attrs.field(factory=dict)
    """The sessions that use each resource."""
    enabled: bool = True
    """Whether it is used."""
    held: bool = False
    """Whether it is disabled by command, so that probing does not enable it."""
    attrs: str = ""
    """The text of the configuration for the code that uses it."""

    @classmethod
    def make(cls, given: DestinationOptions) -> Destination:
        """Return the destination that *given* describes."""
        return cls(
            id=given.id,
            group=given.group,
            uri=given.uri,
            probe_mode=given.probe_mode,
            description=given.description,
            target=parse_target(given.uri),
            capacity=dict(given.resources),
            attrs=given.attrs,
        )

    @property
    def probed(self) -> bool:
        """Whether it is to be probed."""
        return not self.held and (self.probe_mode == 2 or (self.probe_mode == 1 and not self.enabled))

    def replied(self, reply: Reply) -> bool:
        """Take what a probe has found out: what is good enables, a code from 400 on disables at once.

        A probe that could not be sent disables, too.
        """
        if self.held:
            return False
        if reply.good:
            return self._become(enabled=True)
        return self._become(enabled=False) if reply.code is None or reply.code >= 400 else False

    def disable(self) -> bool:
        """Take it out of use until a probe is good, or it is enabled by command."""
        return self._become(enabled=False)

    def command(self, *, enabled: bool) -> bool:
        """Set the status by command, which probing does not change."""
        self.held = not enabled
        return self._become(enabled=enabled)

    def _become(self, *, enabled: bool) -> bool:
        changed = self.enabled != enabled
        self.enabled = enabled
        return changed

    def availability(self, resources: Sequence[str], *, relative: bool) -> float:
        """Return the least that is free of *resources*, as a number of sessions or in percent."""
        return min(self._free(name, relative=relative) for name in resources)

    def _free(self, name: str, *, relative: bool) -> float:
        most, used = self.capacity[name], self.load.get(name, 0)
        if not relative:
            return most - used
        return 100 - 100 * used / most if most else -used  # nothing is free of nothing

    def count(self, resources: Sequence[str], step: int) -> None:
        """Count a session more, or one less."""
        for name in resources:
            self.load[name] = self.load.get(name, 0) + step

    def inherit(self, old: Destination) -> None:
        """Continue as *old*, which had the same id, group and URI, left off; its sessions count for this one."""
        self.enabled, self.held, self.load = old.enabled, old.held, old.load

    @property
    def name(self) -> tuple[Any, ...]:
        """Id, group and URI."""
        return self.id, self.group, self.uri


def load(options: Options) -> list[Destination]:
    """Return the configured destinations and those of the file.

    Raises:
        ConfigError: if the file is not as it should be, or one id occurs twice.
    """
    given = list(options.destinations)
    if options.file is not None:
        given += read_destinations(options.file, DestinationOptions)
    problems = []
    seen: set[int] = set()
    for each in given:
        if each.id in seen:
            problems.append(f"destinations: expected each id once, got {each.id!r} again")
        seen.add(each.id)
    if problems:
        raise ConfigError(problems)
    return [Destination.make(each) for each in given]
