"""The events that OpenSIPS is known to publish, and those that were chosen."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Final

import attrs

from evframe import Parameter
from evframe.plugin import TYPES

CORE: Final = "core"
"""What the catalogue calls the module of the events that OpenSIPS itself publishes."""


@attrs.frozen
class KnownEvent:
    """One entry of the catalogue."""

    name: str
    module: str
    """The module that publishes it."""
    summary: str
    """What it means, and when it is raised."""
    params: dict[str, Parameter]
    """Those whose names are fixed, in order."""


@cache
def catalogue() -> dict[str, KnownEvent]:
    """Return every event with a fixed name, by name."""
    known = map(_known, _read()["event"])
    return {event.name: event for event in known}


@cache
def made_up() -> dict[str, str]:
    """Return what publishes events of any name, each with a sentence about it."""
    return {entry["name"]: entry["summary"] for entry in _read()["dynamic"]}


@cache
def modules() -> frozenset[str]:
    """Return the names of the modules that publish events."""
    return frozenset(event.module for event in catalogue().values())


def is_of_the_core(name: str) -> bool:
    """Return whether an event is one of OpenSIPS itself, which a gateway may raise about itself, too."""
    return name.startswith("E_CORE_")


def _read() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8"))


def _known(entry: dict[str, Any]) -> KnownEvent:
    fixed = [param for param in entry["params"] if "wildcard" not in param]
    others = [param["summary"] for param in entry["params"] if "wildcard" in param]
    return KnownEvent(
        entry["name"],
        entry["module"],
        " ".join([entry["summary"], entry["raised_when"], *others]),
        {param["name"]: _parameter(param) for param in fixed},
    )


def _parameter(param: dict[str, Any]) -> Parameter:
    summary = param["summary"]
    if "values" in param:
        summary += f" One of {', '.join(map(str, param['values']))}."
    if "nullable" in param:
        summary += " It may be null."
    return Parameter(TYPES[param["type"]], optional=param.get("optional", False), summary=summary)


@attrs.frozen
class Choice:
    """What is bridged: the events of some modules, and those whose names match a pattern.

    Without either it is every event of a module. What OpenSIPS itself publishes is chosen by name
    or as the module `core`, because its log lines and traces are many.
    """

    modules: Sequence[str]
    patterns: Sequence[str]

    @property
    def is_made(self) -> bool:
        """Whether anything was chosen."""
        return bool(self.modules or self.patterns)

    def known(self) -> list[KnownEvent]:
        """Return the chosen events of the catalogue, in its order."""
        return [event for event in catalogue().values() if self._has(event.name)]

    def among(self, names: Iterable[str]) -> list[str]:
        """Return the chosen ones of *names*, which may be names that the catalogue does not have."""
        return [name for name in names if self._has(name)]

    def _has(self, name: str) -> bool:
        known = catalogue().get(name)
        module = None if known is None else known.module
        if not self.is_made:
            return module not in {None, CORE}
        return module in self.modules or any(fnmatchcase(name, pattern) for pattern in self.patterns)
