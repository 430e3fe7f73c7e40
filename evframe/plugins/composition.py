"""The plugins of one configuration, each with its options, events, commands, context and tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from evframe_declarations import Declaration

from evframe.calls import contained_task, foreign_call
from evframe.config import Config
from evframe.events.event import EventRegistry
from evframe.exceptions import ConfigError, PluginError
from evframe.plugins import hookspecs
from evframe.plugins.commands import CommandTable
from evframe.plugins.conflicts import why_no_scheme
from evframe.plugins.context import PluginContext
from evframe.plugins.draft import Draft
from evframe.plugins.manager import (
    DISABLED,
    EventCollector,
    PluginManager,
    PluginStatus,
    check_attributes,
    naming_hook,
)
from evframe.plugins.status import StatusRegistry
from evframe.plugins.tasks import PluginTasks, log_error
from evframe.plugins.transports import Transports
from evframe.plugins.workers import CallLimit
from evframe.subscriptions.channel import Channel
from evframe.subscriptions.resolving import Resolver

log = logging.getLogger("evframe.plugins")


@attrs.define(eq=False)
class Loaded:
    """One loaded plugin, with what belongs to it alone."""

    name: str
    plugin: Any
    version: str
    options: Any
    """None for a plugin without options."""
    is_opened: bool
    """Whether it is started; a management interface without a table in a service's configuration is not."""
    context: PluginContext
    tasks: PluginTasks
    events: EventCollector = attrs.field(factory=EventCollector)
    commands: list[str] = attrs.field(factory=list)

    @property
    def status(self) -> PluginStatus:
        """The line of the plugin in a listing."""
        schemes = tuple(getattr(self.plugin, "schemes", ()))
        events, commands = tuple(self.events.events), tuple(self.commands)
        return PluginStatus(self.name, self.version, None, self._kind, schemes, events, commands)

    @property
    def _kind(self) -> str:
        declared = getattr(self.plugin, "kind", None)
        if isinstance(declared, str):
            return declared
        if hasattr(self.plugin, "deliver"):
            return "transport"
        return "source" if hasattr(self.plugin, "register_events") else "extension"


class Composition:
    """What a configuration makes: plugins, events, commands and parsed sockets; nothing is started or delivered.

    An interface takes over the composition of its configuration, and `bind` gives the plugins the interface. The
    composition of a configuration that is only checked is never bound.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.problems = list(config.problems)
        """Every problem of the configuration."""
        self.hints: list[str] = []
        """Hints about names in the configuration that are probably misspelt."""
        self.loaded: dict[str, Loaded] = {}
        """The plugins by name, in the order of loading."""
        self.refused: dict[str, PluginStatus] = {}
        """The installed plugins that are not loaded, each with the reason."""
        self.registry = EventRegistry(Channel)
        self.commands = CommandTable()
        self.manager = PluginManager(hookspecs)
        self.transports = Transports(self.manager, lambda scheme, known: why_no_scheme(scheme, known, self.statuses))
        self.transports.keeps = config.keeps
        self.manager.on_change = self.transports.resolve
        self.status = StatusRegistry(lambda change: self.manager.notify("status_changed", change=change))
        self.status.group("core").add(status=-100, details="just started", reports=10)
        self.resolver = Resolver(
            lambda host, addresses: self.manager.notify("addresses_changed", host=host, addresses=addresses)
        )
        self.resolver.answered = lambda host: self.manager.notify("host_answered", host=host)
        self.call_limit = CallLimit()
        self.draft = Draft(self.registry, self.transports)
        self._background = PluginTasks()
        self.spawn = self._background.spawn
        """Runs the cleanup of a plugin after it was removed."""
        self.bind(**dict.fromkeys(("raising", "leases", "roster", "host"), self.draft))

    def bind(self, **interface: Any) -> None:
        """Give all plugins, and those that are added later, the parts of an interface, by their names in a context."""
        self._interface = interface
        for loaded in self.loaded.values():
            for name, value in self._interface.items():
                setattr(loaded.context, name, value)

    @property
    def statuses(self) -> list[PluginStatus]:
        """Whether each installed plugin was loaded, and why not."""
        loaded = [each.status for each in self.loaded.values()]
        return sorted([*loaded, *self.refused.values()], key=lambda status: status.name)

    @property
    def declared(self) -> dict[str, dict[str, Declaration | None]]:
        """The events of each plugin, by the plugin's name."""
        return {name: loaded.events.events for name, loaded in self.loaded.items()}

    @property
    def references(self) -> dict[str, str]:
        """The events that options of plugins name and other plugins declare, by the paths of the options."""
        return self._by_path(lambda events: events.references)

    @property
    def patterns(self) -> dict[str, str]:
        """The patterns of event names in options of plugins, by the paths of the options."""
        return self._by_path(lambda events: events.patterns)

    def _by_path(self, named: Callable[[EventCollector], dict[str, str]]) -> dict[str, str]:
        return {
            f"plugins.{name}.{option}": text
            for name, loaded in self.loaded.items()
            for option, text in named(loaded.events).items()
        }

    def raise_problems(self) -> None:
        """Raise ConfigError with every problem, if there is one."""
        if self.problems:
            raise ConfigError(self.config.placed(self.problems))

    def make(self, name: str, plugin: Any, *, version: str = "", options: Any = None, is_opened: bool = True) -> Loaded:
        """Return a plugin for `add` or `exchange`."""
        tasks = PluginTasks(name)
        context = PluginContext(
            name=name,
            tasks=tasks,
            **self._interface,
            resolver=self.resolver,
            transports=self.transports,
            status=self.status,
            options=lambda: {name: loaded.options for name, loaded in self.loaded.items()},
            commands=self.commands,
            call_limit=self.call_limit,
            plugins=self.manager,
        )
        return Loaded(name, plugin, version, options, is_opened, context, tasks)

    def add(self, loaded: Loaded) -> None:
        """Register a plugin with its events and commands; after an error, nothing of the plugin stays registered."""
        name, plugin, manager = loaded.name, loaded.plugin, self.manager
        check_attributes(name, plugin)
        manager.register(plugin, name=name)
        loaded.events, loaded.commands = EventCollector(), []
        own_commands = CommandTable()
        try:
            manager.check_pending()
            with _naming(name, "register_events"):
                manager.call("register_events", plugin, collector=loaded.events)
            with _naming(name, "management_commands"):
                manager.call("management_commands", plugin, commands=own_commands)
                for command in own_commands:
                    self.commands.add(command)
                    loaded.commands.append(command.name)
        except BaseException:
            self._unregister(loaded)
            raise
        for event, declaration in loaded.events.events.items():
            self.registry.register(event, declaration)
        self.loaded[name] = loaded
        self.refused.pop(name, None)

    def _unregister(self, loaded: Loaded) -> None:
        for command in loaded.commands:
            self.commands.remove(command)
        self.manager.unregister(name=loaded.name)

    def remove(self, name: str, problem: str = DISABLED) -> Loaded:
        """Remove the plugin called *name*, and return it; its events stay registered."""
        loaded = self.loaded.pop(name)
        self.refused[name] = PluginStatus(name, loaded.version, problem)
        self._unregister(loaded)
        return loaded

    def exchange(self, new: Loaded) -> Loaded:
        """Replace the plugin with the name of *new*, and return it; after an error, it stays."""
        with self.manager.one_change():  # so that a transport keeps its place
            old = self.remove(new.name)
            try:
                self.add(new)
            except BaseException:
                self.add(old)
                raise
        return old

    def notify_loaded(self, loaded: Loaded) -> None:
        """Call `loaded` of one plugin."""
        self.manager.call("loaded", loaded.plugin, context=loaded.context)

    def start(self, plugins: Iterable[Loaded] | None = None) -> None:
        """Call `start` of *plugins*, None for all, except for management interfaces that are not opened."""
        for loaded in list(self.loaded.values()) if plugins is None else plugins:
            if loaded.is_opened:
                loaded.tasks.is_open = True
                with naming_hook(loaded.name, "start", loaded.options):
                    self.manager.call("start", loaded.plugin, context=loaded.context)

    async def end_tasks(self, timeout_s: float) -> None:
        """Cancel the tasks of the plugins, and wait for their ends for at most *timeout_s* seconds."""
        await asyncio.gather(*(loaded.tasks.stop(timeout_s) for loaded in self.loaded.values()))

    async def stop(self, timeout_s: float) -> None:
        """Call `stop` of every plugin, and wait for the returned awaitables for at most *timeout_s* seconds.

        The plugins that reloads have removed or exchanged are stopped as well, when their batches are over.
        """
        await _all_ended([*self.manager.collect("stop"), *self._background.tasks], timeout_s)

    @staticmethod
    async def dispose(loaded: Loaded, timeout_s: float) -> None:
        """End the tasks of a plugin that is not registered any more, and call its `stop`."""
        await loaded.tasks.stop(timeout_s)
        stop: Callable[[], Any] | None = getattr(loaded.plugin, "stop", None)
        if stop is not None:
            with foreign_call(f"plugin {loaded.name!r}, hook 'stop'"):
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
