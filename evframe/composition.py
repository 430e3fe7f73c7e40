"""The plugins of one interface: found by entry point, loaded one by one, started, exchanged and stopped."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from evframe.config import Config, structure
from evframe.context import PluginContext
from evframe.events import EventRegistry
from evframe.exceptions import ConfigError
from evframe.management.commands import CommandTable
from evframe.plugins import EventCollector, PluginManager, PluginStatus
from evframe.tasks import PluginTasks
from evframe.transports import hook_caller

GROUP: Final = "evframe"


class Composition:
    """The plugins of one interface, each with its options, its status, and tasks of its own.

    Args:
        registry: of the events.
        commands: of the interface.
        make_context: makes what one plugin may do; it gets the plugin's tasks.
    """

    def __init__(
        self, registry: EventRegistry, commands: CommandTable, make_context: Callable[[PluginTasks], PluginContext]
    ) -> None:
        self.manager = PluginManager()
        self.statuses: list[PluginStatus] = []
        self.options: dict[str, Any] = {}
        """What each plugin was made with, by its name; None for one without options."""
        self._registry = registry
        self._commands = commands
        self._make_context = make_context
        self._lives: dict[int, tuple[PluginTasks, PluginContext]] = {}

    def load(self, config: Config, problems: list[str], found: Iterable[EntryPoint] | None = None) -> None:
        """Add every installed plugin; what is wrong with the options of one goes to *problems*.

        A plugin that cannot be used is reported in its status, and the others are used.
        """
        tables = tables_of(config)
        seen: set[str] = set()
        for entry in sorted(entry_points(group=GROUP) if found is None else found, key=lambda entry: entry.name):
            status = PluginStatus(entry.name, entry.dist.version if entry.dist else "?")
            if entry.name in config.disable:
                status.problem = "disabled in the configuration"
            elif entry.name in seen:
                status.problem = "another plugin has the same name"
            else:
                seen.add(entry.name)
                status = self._load(entry, status, tables.get(entry.name, {}), problems)
            self.statuses.append(status)
        known = {status.name for status in self.statuses}
        problems += [f"plugins.{name}: no such plugin is installed" for name in tables if name not in known]
        problems[:] = [problem.replace("plugins.route.routes", "routes", 1) for problem in problems]

    def _load(
        self, entry: EntryPoint, status: PluginStatus, table: Mapping[str, Any], problems: list[str]
    ) -> PluginStatus:
        try:
            factory = entry.load()
            options = make_options(entry.name, factory, table, problems)
            plugin = make_plugin(factory, options)
            status = self.add(entry.name, plugin, version=status.version)
            self.options[entry.name] = options
        except ConfigError as error:
            problems += [f"plugins.{entry.name}.{problem}" for problem in error.problems]
            status.problem = "its options are not valid"
        except Exception as error:  # noqa: BLE001 any error of a plugin is its status
            status.problem = f"{type(error).__name__}: {error}"
        return status

    def add(self, name: str, plugin: Any, *, version: str = "") -> PluginStatus:
        """Register one plugin with its events and commands; on an error nothing of it stays."""
        manager = self.manager
        manager.register(plugin, name=name)
        added: list[str] = []
        try:
            manager.check_pending()
            collector = EventCollector()
            own_commands = CommandTable()
            hook_caller(manager, "register_events", plugin)(collector=collector)
            hook_caller(manager, "management_commands", plugin)(commands=own_commands)
            for command in own_commands:
                self._commands.add(command)
                added.append(command.name)
        except BaseException:
            for command_name in added:
                self._commands.remove(command_name)
            manager.unregister(name=name)
            raise
        for event, declaration in collector.events.items():
            self._registry.register(event, declaration)
        schemes = tuple(getattr(plugin, "schemes", ()))
        return PluginStatus(name, version, None, _kind(plugin), schemes, tuple(collector.events), tuple(added))

    def exchange(self, status: PluginStatus, plugin: Any) -> PluginStatus:
        """Put *plugin* in the place of the one with *status*; its events stay registered."""
        old = self.manager.get_plugin(status.name)
        for command in status.commands:
            self._commands.remove(command)
        self.manager.unregister(old)
        try:
            new = self.add(status.name, plugin, version=status.version)
        except BaseException:
            self.add(status.name, old, version=status.version)
            raise
        self.statuses[self.statuses.index(status)] = new
        return new

    def context(self, plugin: Any) -> PluginContext:
        """Return what *plugin* may do."""
        return self._life(plugin)[1]

    def _life(self, plugin: Any) -> tuple[PluginTasks, PluginContext]:
        life = self._lives.get(id(plugin))
        if life is None:
            tasks = PluginTasks()
            life = self._lives[id(plugin)] = (tasks, self._make_context(tasks))
        return life

    def _plugins(self) -> list[Any]:
        """Return the plugins in the order of loading."""
        return [plugin for _, plugin in self.manager.list_name_plugin() if plugin is not None]

    def tell_loaded(self, plugins: Iterable[Any] | None = None) -> None:
        """Call `loaded` of *plugins*; of all without them."""
        for plugin in self._plugins() if plugins is None else plugins:
            hook_caller(self.manager, "loaded", plugin)(context=self.context(plugin))

    def start(self, plugins: Iterable[Any] | None = None) -> None:
        """Call `start` of *plugins*; of all without them."""
        for plugin in self._plugins() if plugins is None else plugins:
            hook_caller(self.manager, "start", plugin)(context=self.context(plugin))

    async def end_tasks(self, timeout_s: float) -> None:
        """Cancel what the plugins have spawned, and wait for the ends for at most *timeout_s* seconds."""
        await asyncio.gather(*(tasks.stop(timeout_s) for tasks, _ in self._lives.values()))

    async def stop(self, timeout_s: float) -> None:
        """Call `stop` of every plugin, and wait for what it returns for at most *timeout_s* seconds."""
        await _all_ended(self.manager.hook.stop(), timeout_s)

    async def retire(self, plugin: Any, timeout_s: float) -> None:
        """End the tasks of a plugin that is not registered any more, and call its `stop`."""
        tasks, _ = self._lives.pop(id(plugin), (None, None))
        if tasks is not None:
            await tasks.stop(timeout_s)
        stop = getattr(plugin, "stop", None)
        if stop is not None:
            await _all_ended([stop()], timeout_s)


async def _all_ended(results: Iterable[Any], timeout_s: float) -> None:
    """Wait for those of *results* that can be awaited; cancel what is late."""
    ends = [asyncio.ensure_future(end) for end in results if isinstance(end, Awaitable)]
    if ends:
        _, late = await asyncio.wait(ends, timeout=timeout_s)
        for end in late:
            end.cancel()


def tables_of(config: Config) -> dict[str, dict[str, Any]]:
    """Return the tables of the plugins; the table of the routes is an option of one of them."""
    tables = dict(config.plugins)
    if config.routes:
        tables["route"] = {"routes": config.routes, **tables.get("route", {})}
    return tables


def make_options(name: str, factory: Any, table: Mapping[str, Any], problems: list[str]) -> Any:
    """Return the options of a plugin, of its attrs class `Options`; None when it has none.

    What is wrong goes to *problems*; the defaults stand in for it.
    """
    options_class = getattr(factory, "Options", None)
    if options_class is None:
        if table:
            problems.append(f"plugins.{name}: expected no options, got {sorted(table)}")
        return None
    options = structure(table, options_class, f"plugins.{name}", problems)
    return options_class() if options is None else options


def make_plugin(factory: Any, options: Any) -> Any:
    """Return the plugin object of an entry point: a module, or what a class makes of its options."""
    if options is not None:
        return factory(options)
    return factory() if inspect.isclass(factory) else factory


def _kind(plugin: Any) -> str:
    declared = getattr(plugin, "kind", None)
    if isinstance(declared, str):
        return declared
    if hasattr(plugin, "deliver"):
        return "transport"
    return "source" if hasattr(plugin, "register_events") else "extension"
