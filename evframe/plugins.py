"""Plugins: found by entry point, loaded one by one, a broken one reported and the others used."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final

import attrs
import pluggy

from evframe import hookspecs
from evframe.config import structure
from evframe.declarations import Declaration, ParameterTypes, declare
from evframe.events import EventRegistry, check_name
from evframe.exceptions import ConfigError
from evframe.management.commands import CommandTable
from evframe.transports import hook_caller

log = logging.getLogger("evframe.plugins")
GROUP: Final = "evframe"
HOOKS: Final = (
    "register_events",
    "on_subscribe",
    "deliver",
    "unsubscribed",
    "management_commands",
    "describe",
    "worker_groups",
    "lease_changed",
    "delivery_changed",
    "status_changed",
    "connection_closed",
    "loaded",
    "start",
    "stop",
)


@attrs.define
class PluginStatus:
    """What became of one installed plugin: loaded when *problem* is None."""

    name: str
    version: str
    problem: str | None = None
    kind: str = ""
    schemes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


class EventCollector:
    """Handed to `register_events`: takes the events of one plugin."""

    def __init__(self) -> None:
        self.events: dict[str, Declaration | None] = {}

    def add(
        self,
        name: str,
        params: ParameterTypes | None = None,
        *,
        summary: str = "",
        enforced: bool = True,
        quiet: bool = False,
    ) -> None:
        """Declare an event.

        Args:
            name: 1 to 64 bytes.
            params: its parameters in order, each a type or a `Parameter`; without it, anything can be raised.
            summary: when it is raised, in a sentence.
            enforced: whether a raise that does not fit is refused.
            quiet: whether it tells about deliveries, so that its own are not told about.
        """
        check_name(name)
        self.events[name] = declare(name, params, summary=summary, enforced=enforced, quiet=quiet)


class PluginManager(pluggy.PluginManager):
    """A manager that knows the hooks, and tells when a plugin came or went."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] | None = None
        super().__init__("evframe")
        self.add_hookspecs(hookspecs)

    def register(self, plugin: Any, name: str | None = None) -> str | None:
        """Add a plugin; a hook that is no hook of evframe, or a coroutine function, is an error."""
        for hook in HOOKS:
            if inspect.iscoroutinefunction(getattr(plugin, hook, None)):
                raise TypeError(f"hook {hook!r}: expected a plain function, got a coroutine function")
        registered = super().register(plugin, name)
        if self.on_change is not None:
            self.on_change()
        return registered

    def unregister(self, plugin: Any | None = None, name: str | None = None) -> Any | None:
        """Take a plugin out."""
        removed = super().unregister(plugin, name)
        if self.on_change is not None:
            self.on_change()
        return removed

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call every implementation of *hook*, which tells of something; what one of them raises is logged."""
        for implementation in getattr(self.hook, hook).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except Exception:
                log.exception("a plugin raised an error", extra={"plugin": implementation.plugin_name, "hook": hook})


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


def compose(
    manager: PluginManager, name: str, plugin: Any, registry: EventRegistry, commands: CommandTable
) -> PluginStatus:
    """Register one plugin with its events and commands; on an error nothing of it stays."""
    manager.register(plugin, name=name)
    try:
        manager.check_pending()
        collector = EventCollector()
        own_commands = CommandTable()
        hook_caller(manager, "register_events", plugin)(collector=collector)
        hook_caller(manager, "management_commands", plugin)(commands=own_commands)
        for command in own_commands:
            commands.add(command)
    except BaseException:
        manager.unregister(name=name)
        raise
    for event, declaration in collector.events.items():
        registry.register(event, declaration)
    return PluginStatus(
        name,
        "",
        kind=_kind(plugin),
        schemes=tuple(getattr(plugin, "schemes", ())),
        events=tuple(collector.events),
        commands=tuple(command.name for command in own_commands),
    )


def _kind(plugin: Any) -> str:
    declared = getattr(plugin, "kind", None)
    if isinstance(declared, str):
        return declared
    if hasattr(plugin, "deliver"):
        return "transport"
    return "source" if hasattr(plugin, "register_events") else "extension"


def load_plugins(  # noqa: PLR0913, PLR0917 the parts that a plugin is composed of
    manager: PluginManager,
    registry: EventRegistry,
    commands: CommandTable,
    disabled: Iterable[str] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
    problems: list[str] | None = None,
    found: Iterable[EntryPoint] | None = None,
) -> list[PluginStatus]:
    """Compose every installed plugin; return what became of each.

    What is wrong with the *options* of a plugin goes to *problems*, as does a table for no plugin.
    """
    statuses: list[PluginStatus] = []
    problems = [] if problems is None else problems
    seen: set[str] = set()
    for entry in sorted(entry_points(group=GROUP) if found is None else found, key=lambda entry: entry.name):
        version = entry.dist.version if entry.dist else "?"
        status = PluginStatus(entry.name, version)
        if entry.name in disabled:
            status.problem = "disabled in the configuration"
        elif entry.name in seen:
            status.problem = "another plugin has the same name"
        else:
            seen.add(entry.name)
            try:
                plugin = make_plugin(entry.name, entry.load(), options.get(entry.name), problems)
                status = compose(manager, entry.name, plugin, registry, commands)
                status.version = version
            except ConfigError as error:
                problems += [f"plugins.{entry.name}.{problem}" for problem in error.problems]
                status.problem = "its options are not valid"
            except Exception as error:  # noqa: BLE001 any error of a plugin is its status
                status.problem = f"{type(error).__name__}: {error}"
        statuses.append(status)
    known = {status.name for status in statuses}
    problems += [f"plugins.{name}: no such plugin is installed" for name in options if name not in known]
    return statuses
