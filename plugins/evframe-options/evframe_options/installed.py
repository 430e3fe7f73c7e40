"""The plugins that are installed, with what a configuration may say about each."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any, Final

import attrs

from evframe_options.describing import Option, options_of

GROUP: Final = "evframe"
"""The entry points of plugins."""


@attrs.frozen
class Installed:
    """One plugin."""

    name: str
    version: str
    factory: Any = None
    """The class or the module; None for a plugin that cannot be loaded."""
    problem: str = ""

    @property
    def options(self) -> type | None:
        """The attrs class of its table."""
        found = getattr(self.factory, "Options", None)
        return found if isinstance(found, type) and attrs.has(found) else None

    @property
    def places(self) -> dict[str, str]:
        """Its options that may stand outside of its table, by their places, such as ``core.state_path``."""
        return dict(getattr(self.factory, "places", {}))

    @property
    def policy_keys(self) -> frozenset[str]:
        """The keys of policies that it follows."""
        return frozenset(getattr(self.factory, "policy_keys", ()))

    @property
    def schemes(self) -> frozenset[str]:
        """The schemes of its sockets."""
        return frozenset(getattr(self.factory, "schemes", ()))

    def placed(self, place: str) -> Option:
        """Return the option that may stand at *place*, one of `places`, with the last part of that as its name."""
        assert self.options is not None
        option = next(each for each in options_of(self.options) if each.name == self.places[place])
        return attrs.evolve(option, name=place.rpartition(".")[2])


def installed() -> Iterator[Installed]:
    """Yield the plugins, by their names."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        version = entry.dist.version if entry.dist else "?"
        try:
            yield Installed(entry.name, version, entry.load())
        except (Exception, SystemExit) as error:  # noqa: BLE001 a broken plugin takes no part
            yield Installed(entry.name, version, problem=f"{type(error).__name__}: {error}")
