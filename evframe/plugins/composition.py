"""The plugins of one interface: found by entry point, loaded one by one, started, exchanged and stopped."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from evframe.calls import comes_from_outside, contained_task, foreign_call
from evframe.config import Config
from evframe.config.hints import is_published
from evframe.config.management import NARROWING_KEYS, NarrowingOptions
from evframe.config.structuring import structure
from evframe.events.declarations import Declaration
from evframe.events.event import EventRegistry
from evframe.exceptions import ConfigError, PluginError
from evframe.plugins import hookspecs
from evframe.plugins.commands import CommandTable
from evframe.plugins.conflicts import missing_plugins, unknown_disabled, unloaded, unusable_places
from evframe.plugins.context import PluginContext
from evframe.plugins.filling import Filling
from evframe.plugins.manager import (
    DISABLED,
    INVALID_OPTIONS,
    EventCollector,
    PluginManager,
    PluginStatus,
    check_attributes,
    naming_hook,
)
from evframe.plugins.tasks import PluginTasks, log_error
from evframe.subscriptions.channel import Channel
from evframe.subscriptions.references import Values

log = logging.getLogger("evframe.plugins")
GROUP: Final = "evframe"


class Composition:
    """The plugins of one interface, each with separate options, status and tasks.

    Args:
        registry: of the events.
        commands: of the interface.
        make_context: makes what one plugin may do; it gets the plugin's name and tasks.
    """

    def __init__(
        self,
        registry: EventRegistry[Channel],
        commands: CommandTable,
        make_context: Callable[[str, PluginTasks], PluginContext],
    ) -> None:
        self.manager = PluginManager(hookspecs)
        self.statuses: list[PluginStatus] = []
        self.options: dict[str, Any] = {}
        """The options of each plugin, by its name; None for a plugin without options."""
        self.declared: dict[str, dict[str, Declaration | None]] = {}
        """The events of each plugin, by the plugin's name."""
        self._references: dict[str, dict[str, str]] = {}  # by the plugin's name
        self.narrowings: dict[str, NarrowingOptions] = {}
        """The rules by which the table of a management interface narrows the general policy, by the plugin's name."""
        self.unopened: set[str] = set()
        """The management interfaces that are not started, because they have no table in the configuration."""
        self._registry = registry
        self._commands = commands
        self._make_context = make_context
        self._values = Values()
        self._lives: dict[int, tuple[PluginTasks, PluginContext]] = {}
        self._background = PluginTasks()
        self.spawn = self._background.spawn
        """Runs the cleanup of a plugin after it was removed."""

    @property
    def references(self) -> dict[str, str]:
        """The events that options of plugins name and other plugins declare, by the paths of the options."""
        return {
            f"plugins.{name}.{option}": event
            for name, references in self._references.items()
            for option, event in references.items()
        }

    def load(
        self, config: Config, problems: list[str], found: Iterable[EntryPoint] | None = None, *, gateway: bool = False
    ) -> None:
        """Add every installed plugin; invalid options of a plugin are added to *problems*.

        A plugin that cannot be used is reported in its status; the other plugins are used.

        Args:
            config: the configuration.
            problems: the list that gets the errors.
            found: the entry points; None for the installed ones.
            gateway: whether management interfaces without a table in the configuration are opened, too.
        """
        tables = config.tables
        seen: set[str] = set()
        # First the plugins that are published with evframe, so that no other plugin can take their names and commands.
        installed = entry_points(group=GROUP) if found is None else found
        for entry in sorted(installed, key=lambda entry: (not is_published(entry.name), entry.name)):
            version = entry.dist.version if entry.dist else "?"
            if entry.name in config.disable:
                self.statuses.append(PluginStatus(entry.name, version, DISABLED))
            elif entry.name in seen:
                self.statuses.append(PluginStatus(entry.name, version, "another plugin has the same name"))
            else:
                self._load(entry, version, tables.get(entry.name), problems, gateway=gateway)
            seen.add(entry.name)
        problems += missing_plugins(config.plugins, seen)
        problems += unusable_places(config, seen)
        problems += unknown_disabled(config.disable, seen)
        problems += unloaded(tables, self.statuses)
        problems[:] = config.named_by_place(problems)

    def _load(
        self, entry: EntryPoint, version: str, table: Mapping[str, Any] | None, problems: list[str], *, gateway: bool
    ) -> None:
        try:
            factory = entry.load()
            besides: Sequence[str] = ()
            if getattr(factory, "kind", None) == "management":
                if table is None and not gateway:
                    self.unopened.add(entry.name)
                table, besides = self._narrow(entry.name, table or {}, problems), NARROWING_KEYS
            options = make_options(entry.name, factory, table or {}, Filling(self._values, problems), besides)
            self.add(entry.name, make_plugin(factory, options), version=version, options=options)
        except ConfigError as error:
            problems += [f"plugins.{entry.name}.{problem}" for problem in error.problems]
            self.statuses.append(PluginStatus(entry.name, version, INVALID_OPTIONS))
        except BaseException as error:  # any error of a plugin is recorded as its status
            if comes_from_outside(error):
                raise
            self.statuses.append(PluginStatus(entry.name, version, f"{type(error).__name__}: {error}"))

    def _narrow(self, name: str, table: Mapping[str, Any], problems: list[str]) -> Mapping[str, Any]:
        """Take the keys of the policy out of the table of a management interface, and return the others."""
        keys = {key: value for key, value in table.items() if key in NARROWING_KEYS}
        if keys:
            narrowing = structure(keys, NarrowingOptions, f"plugins.{name}", problems)
            self.narrowings[name] = narrowing or NarrowingOptions()
        return {key: value for key, value in table.items() if key not in keys}

    def add(self, name: str, plugin: Any, *, version: str = "", options: Any = None) -> None:
        """Register one plugin with its events and commands; after an error, nothing of the plugin stays registered."""
        check_attributes(name, plugin)
        manager = self.manager
        manager.register(plugin, name=name)
        added: list[str] = []
        try:
            manager.check_pending()
            collector = EventCollector()
            own_commands = CommandTable()
            with _naming(name, "register_events"):
                manager.call("register_events", plugin, collector=collector)
            with _naming(name, "management_commands"):
                manager.call("management_commands", plugin, commands=own_commands)
                for command in own_commands:
                    self._commands.add(command)
                    added.append(command.name)
        except BaseException:
            self._take_out(name, added)
            raise
        for event, declaration in collector.events.items():
            self._registry.register(event, declaration)
        self.options[name] = options
        self.declared[name] = collector.events
        self._references[name] = collector.references
        schemes = tuple(getattr(plugin, "schemes", ()))
        status = PluginStatus(name, version, None, _kind(plugin), schemes, tuple(collector.events), tuple(added))
        self.statuses[:] = [other for other in self.statuses if other.name != name]
        self.statuses.append(status)
        self.statuses.sort(key=lambda status: status.name)

    def _take_out(self, name: str, commands: Iterable[str]) -> Any:
        for command in commands:
            self._commands.remove(command)
        return self.manager.unregister(name=name)

    def remove(self, name: str) -> Any:
        """Remove the plugin called *name*, and return it; its events stay registered."""
        status = next(status for status in self.statuses if status.name == name)
        self.options.pop(name, None)
        self.declared.pop(name, None)
        self._references.pop(name, None)
        self.statuses[self.statuses.index(status)] = PluginStatus(name, status.version, DISABLED)
        return self._take_out(name, status.commands)

    def exchange(self, name: str, plugin: Any, options: Any) -> None:
        """Replace the plugin called *name* by *plugin*; after an error, the old plugin stays."""
        version = next(status.version for status in self.statuses if status.name == name)
        old_options = self.options.get(name)
        # No code reads the plugins until the new one is registered, so that a transport keeps its place.
        on_change, self.manager.on_change = self.manager.on_change, None
        try:
            old = self.remove(name)
            try:
                self.add(name, plugin, version=version, options=options)
            except BaseException:
                self.add(name, old, version=version, options=old_options)
                raise
        finally:
            self.manager.on_change = on_change
            if on_change is not None:
                on_change()

    def context(self, plugin: Any) -> PluginContext:
        """Return the context of *plugin*."""
        return self._life(plugin)[1]

    def _life(self, plugin: Any) -> tuple[PluginTasks, PluginContext]:
        life = self._lives.get(id(plugin))
        if life is None:
            name = self.manager.get_name(plugin) or ""
            tasks = PluginTasks(name)
            life = self._lives[id(plugin)] = (tasks, self._make_context(name, tasks))
        return life

    def _plugins(self) -> list[Any]:
        """Return the plugins in the order of loading."""
        return [plugin for _, plugin in self.manager.list_name_plugin() if plugin is not None]

    def tell_loaded(self, plugins: Iterable[Any] | None = None) -> None:
        """Call `loaded` of *plugins*; None for all plugins."""
        for plugin in self._plugins() if plugins is None else plugins:
            self.manager.call("loaded", plugin, context=self.context(plugin))

    def tell_all_loaded(self, configured: Iterable[str], problems: list[str] | None) -> None:
        """Call `loaded` of every plugin; a plugin that raises is removed, with the reason in its status.

        The error of a *configured* plugin is added to *problems*. Without *problems* the error is raised, because
        the caller has passed the plugins.
        """
        for plugin in self._plugins():
            name = self.manager.get_name(plugin) or ""
            try:
                self.tell_loaded([plugin])
            except Exception as error:
                if problems is None:
                    raise
                log.exception("a plugin raised an error", extra={"plugin": name, "hook": "loaded"})
                version = next(status.version for status in self.statuses if status.name == name)
                self.remove(name)
                status = PluginStatus(name, version, f"hook 'loaded': {type(error).__name__}: {error}")
                self.statuses[:] = [status if each.name == name else each for each in self.statuses]
                problems += unloaded({*configured} & {name}, [status])

    def start(self, plugins: Iterable[Any] | None = None) -> None:
        """Call `start` of *plugins*, None for all, except for management interfaces that are not opened."""
        for plugin in self._plugins() if plugins is None else plugins:
            name = self.manager.get_name(plugin) or ""
            if name in self.unopened:
                continue
            tasks, context = self._life(plugin)
            tasks.is_open = True
            with naming_hook(name, "start", self.options.get(name)):
                self.manager.call("start", plugin, context=context)

    async def end_tasks(self, timeout_s: float) -> None:
        """Cancel the tasks of the plugins, and wait for their ends for at most *timeout_s* seconds."""
        lives = [self._background, *(tasks for tasks, _ in self._lives.values())]
        await asyncio.gather(*(tasks.stop(timeout_s) for tasks in lives))

    async def stop(self, timeout_s: float) -> None:
        """Call `stop` of every plugin, and wait for the returned awaitables for at most *timeout_s* seconds."""
        await _all_ended(self.manager.ask("stop"), timeout_s)

    async def retire(self, plugin: Any, timeout_s: float) -> None:
        """End the tasks of a plugin that is not registered any more, and call its `stop`."""
        tasks, _ = self._lives.pop(id(plugin), (None, None))
        if tasks is not None:
            await tasks.stop(timeout_s)
        stop = getattr(plugin, "stop", None)
        if stop is not None:
            with foreign_call(f"plugin {type(plugin).__name__!r}, hook 'stop'"):
                await _all_ended([stop()], timeout_s)


async def _all_ended(results: Iterable[Any], timeout_s: float) -> None:
    """Wait for those of *results* that can be awaited; cancel those that take longer than *timeout_s* seconds."""
    ends = [contained_task(end) for end in results if isinstance(end, Awaitable)]
    if ends:
        over, late = await asyncio.wait(ends, timeout=timeout_s)
        for end in over:
            log_error(end)
        for end in late:
            end.cancel()


@contextmanager
def _naming(name: str, hook: str) -> Iterator[None]:
    """Turn every error into a PluginError that names the plugin and the hook."""
    try:
        with naming_hook(name, hook):
            yield
    except (ValueError, OSError) as error:
        raise PluginError(getattr(error, "strerror", None) or str(error)) from error


def make_options(
    name: str, factory: Any, table: Mapping[str, Any], filling: Filling, besides: Iterable[str] = ()
) -> Any:
    """Return the options of a plugin, of its attrs class `Options`; None when it has none.

    *filling* has the values of references in the secrets of the plugin; *besides* are the keys that its table may
    have besides the options.

    Errors are added to the problems of *filling*, and the defaults replace the invalid options.
    """
    options_class = getattr(factory, "Options", None)
    if options_class is None:
        if table:
            filling.problems.append(f"plugins.{name}: expected no options, got {sorted(table)}")
        return None
    path = f"plugins.{name}"
    found: list[str] = []
    options = structure(filling.table(table, options_class, path), options_class, path, found, besides)
    filling.problems += filling.explained(found)
    return options_class() if options is None else options


def make_plugin(factory: Any, options: Any) -> Any:
    """Return the plugin object of an entry point: a module, or an instance of a class with the options."""
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
