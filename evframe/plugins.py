"""Plugins: found by entry point, loaded one by one, a broken one reported and the others used."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final

import attrs
import pluggy

from evframe import hookspecs
from evframe.config import structure
from evframe.events import EventRegistry

GROUP: Final = "evframe"


@attrs.frozen
class PluginStatus:
    """What became of one installed plugin: loaded when *problem* is None."""

    name: str
    version: str
    problem: str | None = None


@attrs.frozen
class EventCollector:
    """Handed to `register_events`: takes the events of one plugin."""

    registry: EventRegistry

    def add(self, name: str, params: Mapping[str, type] | None = None) -> None:
        """Register the event *name* with its parameters' types, in order."""
        self.registry.register(name, params)


def make_manager() -> pluggy.PluginManager:
    """Return a manager that knows the hooks and no plugin."""
    manager = pluggy.PluginManager("evframe")
    manager.add_hookspecs(hookspecs)
    return manager


def make_plugin(name: str, loaded: Any, table: Mapping[str, Any] | None, problems: list[str]) -> Any:
    """Return the plugin object of an entry point: a module, or a class made with its options.

    A class with options has the attrs class of them as its attribute `Options`.
    """
    options_class = getattr(loaded, "Options", None)
    if options_class is None:
        if table:
            problems.append(f"plugins.{name}: expected no options, got {sorted(table)}")
        return loaded() if inspect.isclass(loaded) else loaded
    options = structure(table or {}, options_class, f"plugins.{name}", problems)
    return loaded(options_class() if options is None else options)


def _refuse_coroutines(plugin: Any) -> None:
    for name in ("register_events", "on_subscribe", "deliver", "unsubscribed", "management_commands", "start"):
        implementation = getattr(plugin, name, None)
        if inspect.iscoroutinefunction(implementation):
            raise TypeError(f"hook {name!r}: expected a plain function, got a coroutine function")


def load_plugins(
    manager: pluggy.PluginManager,
    disabled: Iterable[str] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
    problems: list[str] | None = None,
    found: Iterable[EntryPoint] | None = None,
) -> list[PluginStatus]:
    """Register every installed plugin with *manager*; return what became of each.

    What is wrong with the *options* of a plugin goes to *problems*, as does a table for no plugin.
    """
    statuses: list[PluginStatus] = []
    problems = [] if problems is None else problems
    seen: set[str] = set()
    for entry in sorted(entry_points(group=GROUP) if found is None else found, key=lambda entry: entry.name):
        version = entry.dist.version if entry.dist else "?"
        problem: str | None = None
        if entry.name in disabled:
            problem = "disabled in the configuration"
        elif entry.name in seen:
            problem = "another plugin has the same name"
        else:
            seen.add(entry.name)
            try:
                loaded = entry.load()
                plugin = make_plugin(entry.name, loaded, options.get(entry.name), problems)
                _refuse_coroutines(plugin)
                manager.register(plugin, name=entry.name)
                manager.check_pending()
            except Exception as error:  # noqa: BLE001 any error of a plugin is its status
                problem = f"{type(error).__name__}: {error}"
                if manager.has_plugin(entry.name):
                    manager.unregister(name=entry.name)
        statuses.append(PluginStatus(entry.name, version, problem))
    known = {status.name for status in statuses}
    problems += [f"plugins.{name}: no such plugin is installed" for name in options if name not in known]
    problems += [f"plugins.disable: no such plugin is installed: {name!r}" for name in disabled if name not in known]
    return statuses
