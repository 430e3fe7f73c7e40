"""`EventInterface`: the registry, the leases and the delivery, put together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import Any, Self

from evframe.config import Config, CoreOptions, read_config_file
from evframe.events.event import EventRegistry
from evframe.exceptions import ConfigError, SocketError
from evframe.plugins.changes import Changes
from evframe.plugins.commands import CommandTable
from evframe.plugins.composition import Composition
from evframe.plugins.conflicts import clashes, contradictions, misspelt_events, why_no_scheme
from evframe.plugins.context import PluginContext
from evframe.plugins.manager import PluginManager, PluginStatus
from evframe.plugins.reloading import Parts, Reload
from evframe.plugins.status import StatusChange, StatusRegistry
from evframe.plugins.subscribing import Subscribing
from evframe.plugins.tasks import PluginTasks
from evframe.plugins.transports import Transports
from evframe.plugins.workers import CallLimit, WorkerGroup
from evframe.subscriptions.channel import Channel
from evframe.subscriptions.client_leases import ClientLeases
from evframe.subscriptions.hosts import HostAddress
from evframe.subscriptions.lease_networks import LeaseNetworks
from evframe.subscriptions.leases import Leases
from evframe.subscriptions.policy import Policies
from evframe.subscriptions.raising import Raising
from evframe.subscriptions.resolving import Resolver
from evframe.subscriptions.roster import Roster

log = logging.getLogger("evframe.interface")


class EventInterface(Raising, Subscribing):
    """Registers events, keeps the leases of subscribers and raises events to them."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        plugins: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        gateway: bool = False,
    ) -> None:
        """Compose an interface.

        Args:
            config: the configuration; the defaults and every installed plugin without one.
            plugins: plugin objects by name instead of the installed ones.
            clock: the monotonic clock of the leases, in seconds.
            gateway: whether a management interface that has no table in the configuration is opened
                with its defaults; in a service, a plugin that is merely installed opens nothing.

        Raises:
            ConfigError: with every problem of the configuration.
        """
        given = config is not None
        self.config = config = Config() if config is None else config
        self.hints: list[str] = []
        """Hints about names in the configuration that are probably misspelt."""
        core = config.core
        problems = list(config.problems)
        registry = EventRegistry(Channel)
        self._commands = CommandTable()
        self.policies = Policies(config.management)
        self.status = StatusRegistry(self._tell_status)
        self._own_status = self.status.group("core")
        self._own_status.add(status=-100, details="just started", reports=10)
        self.call_limit = CallLimit()
        self._composition = Composition(registry, self._commands, self._make_context)
        self._manager = self._composition.manager
        self.is_gateway = gateway
        """Whether this is the daemon's interface."""
        self._add_plugins(config, plugins, problems)
        if given and plugins is None:
            problems += clashes(self._composition.statuses, self._composition.declared)
        transports = Transports(self._manager, self._why_no_scheme)
        self._manager.on_change = transports.resolve
        self.resolver = Resolver(self._tell_addresses)
        """The resolver of host names that all plugins share."""
        roster = Roster(registry, core, self.resolver, self._manager.tell)
        leases = Leases(registry, roster, clock, self._manager.tell)
        self.lease_networks = networks = LeaseNetworks(self.policies, self.resolver, roster, leases)
        """The networks that leases, and the hosts that their peers name, are limited to."""
        clients = ClientLeases(registry, transports.parse, leases, self.policies, networks)
        Raising.__init__(self, registry, roster, core)
        Subscribing.__init__(self, registry, leases, transports, self._manager, clients)
        self.is_running = False
        """Whether the interface is entered, and is not being left."""
        self.config_path: str | Path | None = None
        """The file that `reload` reads."""
        self._has_own_plugins = plugins is not None
        self._configure(core)
        self.policies.configure(config.management, self._composition.narrowings)
        self._composition.tell_all_loaded(config.tables, None if self._has_own_plugins else problems)
        self._events.on_new.append(self._tell_registered)
        self._apply(config, problems)
        if problems:
            raise ConfigError(config.placed(problems))

    def _add_plugins(self, config: Config, plugins: Mapping[str, Any] | None, problems: list[str]) -> None:
        """Add the installed plugins, or *plugins* in their place."""
        if plugins is None:
            self._composition.load(config, problems, gateway=self.is_gateway)
        else:
            problems += [f"{place}: expected none beside plugin objects" for place in config.places]
            for name, plugin in plugins.items():
                self._composition.add(name, plugin)

    def _make_context(self, name: str, tasks: PluginTasks) -> PluginContext:
        return PluginContext(
            name=name,
            raising=self,
            leases=self,
            host=self,
            resolver=self.resolver,
            status=self.status,
            policies=self.policies,
            commands=self._commands,
            call_limit=self.call_limit,
            networks=self.lease_networks,
            plugins=self._manager,
            tasks=tasks,
        )

    def _why_no_scheme(self, scheme: str, known: Sequence[str]) -> str:
        return why_no_scheme(scheme, known, self._composition.statuses)

    def _configure(self, core: CoreOptions) -> None:
        """Apply the options of the core."""
        self.core = core
        self._roster.configure(core)
        self._configure_raising(core)
        self.resolver.every_s, self.resolver.timeout_s = core.resolve_every_s, core.resolve_timeout_s

    @classmethod
    def from_toml(cls, path: str | Path, *, gateway: bool = False) -> Self:
        """Return an interface with the configuration in the file *path*; see `EventInterface`.

        Raises:
            ConfigError: with every problem, each with its path.
        """
        interface = cls(read_config_file(path), gateway=gateway)
        interface.config_path = path
        return interface

    def reload(self, config: Config | None = None) -> Changes:
        """Apply the difference between the configuration and *config*, all of it or nothing.

        Leases without a difference stay, with their queued events. Events stay registered, even when
        the new configuration lacks them.

        Args:
            config: the new configuration; None reads the file of `config_path` again.

        Raises:
            ConfigError: with every problem, each with its path; nothing has changed then.
        """
        if config is None:
            if self.config_path is None:
                raise ConfigError(["expected a configuration that was read from a file"])
            config = read_config_file(self.config_path)
        if self._has_own_plugins:
            raise ConfigError(["plugins: expected the installed plugins, this interface was given its own"])
        wanted = EventInterface(config, gateway=self.is_gateway)
        try:
            changes = Reload(self._parts, wanted._parts, self._configure).run()
        except ConfigError as error:
            raise ConfigError(config.placed(error.problems)) from error
        self.config = config
        self.resolver.refresh_all()
        return changes

    @property
    def _parts(self) -> Parts:
        return Parts(
            self.config,
            self._events,
            self._composition,
            self._transports,
            self._roster,
            self._leases,
            self.policies,
            self.client_leases,
        )

    def _apply(self, config: Config, problems: list[str]) -> None:
        """Register the configured events and make the configured subscriptions."""
        problems += contradictions(config.events, self._composition.declared)
        self.hints += config.placed(self._misspelt(config))
        for index, event in enumerate(config.events):
            if event is None:
                continue  # the problems have its error already
            try:
                self.register_event(event.name, event.declared)
            except ValueError as error:
                problems.append(f"events[{index}].name: {error}")
        for index, lease in enumerate(config.subscriptions):
            if lease is None:
                continue
            try:
                self.register_event(lease.event)
                self.subscribe_event(lease.event, lease.socket, lease.expire_s, configured=True)
            except SocketError as error:
                problems.append(f"subscriptions[{index}].socket: {error}")
            except ValueError as error:
                problems.append(f"subscriptions[{index}].event: {error}")

    def _misspelt(self, config: Config) -> Iterator[str]:
        composed = self._composition
        return misspelt_events(config, composed.declared, composed.references, composed.narrowings)

    async def __aenter__(self) -> Self:
        self._thread = get_ident()
        self._own_status.set_status(-1, "initializing")
        self.resolver.start()
        self._roster.start()
        self._leases.start()
        self._inbox.start(asyncio.get_running_loop())
        try:
            self._composition.start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self.is_running = True
        self._own_status.set_status(1, "running")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_running = False
        terminating = self._own_status.add()
        terminating.status, terminating.details = -2, "shutting down"  # does not call `status_changed`
        timeout_s = self.core.drain_timeout_s
        self._leases.stop()
        await self._composition.end_tasks(timeout_s)
        self._inbox.flush()
        await self._roster.drain(timeout_s)
        self._inbox.stop()
        self.resolver.close()
        await self._composition.stop(max(1.0, timeout_s))

    @property
    def plugin_status(self) -> list[PluginStatus]:
        """Whether each plugin was loaded, and why not."""
        return self._composition.statuses

    @property
    def commands(self) -> CommandTable:
        """The management commands."""
        return self._commands

    @property
    def plugins(self) -> PluginManager:
        """The plugins of this interface; register one here to add it, such as a wrapper round a hook."""
        return self._manager

    def plugin(self, name: str) -> Any:
        """Return the plugin object called *name*; LookupError when it is not loaded."""
        found = self._manager.get_plugin(name)
        if found is None:
            raise LookupError(f"expected a loaded plugin, got {name!r}")
        return found

    @property
    def worker_groups(self) -> list[WorkerGroup]:
        """The groups of workers of all plugins."""
        return [group for groups in self._manager.ask("worker_groups") for group in groups]

    def _tell_registered(self, event: Channel) -> None:
        self._manager.tell("event_registered", event=event)

    def _tell_addresses(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        self._manager.tell("addresses_changed", host=host, addresses=addresses)

    def _tell_status(self, change: StatusChange) -> None:
        self._manager.tell("status_changed", change=change)
