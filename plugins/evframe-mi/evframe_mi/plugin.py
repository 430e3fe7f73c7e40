"""The plugin: the commands that every client expects, the dispatcher that answers requests, and the access policy."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, partial
from typing import ClassVar

from evframe import ConfigError, Socket, hookimpl
from evframe.plugin import (
    Changes,
    CommandTable,
    EventCollector,
    LeaseChange,
    Network,
    PluginContext,
    Subscriber,
    Subscription,
)
from evframe_mi.client_leases import ClientLeases
from evframe_mi.core import core_commands
from evframe_mi.dispatcher import Dispatcher
from evframe_mi.evi import evi_commands
from evframe_mi.load import Load
from evframe_mi.options import ManagementOptions, NarrowingOptions
from evframe_mi.options import Options as MiOptions
from evframe_mi.policy import Policies
from evframe_mi.statistics import statistics_commands

NAME = "mi"
"""The name of the plugin."""


class Management:
    """The plugin object, one for all management interfaces, whose clients take turns."""

    Options = MiOptions
    kind = "extension"
    places: ClassVar = {"management": "management"}

    def __init__(self, options: MiOptions | None = None) -> None:
        self._options = options or MiOptions()
        self._loaded: PluginContext | None = None
        self._is_started = False
        self.policies = Policies(self._options.management)
        """What run-time clients may do."""
        self.leases = ClientLeases(self._context, self.policies)
        """The subscriptions of run-time clients, and the networks of the names that they connect to."""
        self.load = Load()
        """The load of the process, while the interface is entered."""

    def _context(self) -> PluginContext:
        assert self._loaded is not None
        return self._loaded

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Refer to the events that clients may raise."""
        refer_events(collector, self._options.management.raise_events, "management.raise_events")

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep the context for the commands, and apply the policy."""
        self._loaded = context
        self._apply_policy()

    def _apply_policy(self) -> None:
        options = self._context().options()
        narrowings = {name: each for name, each in options.items() if isinstance(each, NarrowingOptions)}
        self.policies.configure(self._options.management, narrowings)

    @hookimpl
    def reconfigure(self, options: MiOptions) -> partial[None]:
        """Keep the options for `reloaded`, so that no rule changes when the reload is refused."""
        before, self._options = self._options, options
        return partial(setattr, self, "_options", before)

    @hookimpl
    def reloaded(self, changes: Changes) -> None:
        """Apply the policy, and end the leases that it does not permit any more."""
        old = self.policies.rules
        self._apply_policy()
        new = self.policies.rules
        changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        if changed:
            changes.reported["management"] = changed
        ended = self.leases.review()
        changes.ended.extend(f"{lease.event.name} {lease.subscriber.socket.canonical}" for lease in ended)

    @hookimpl
    def check_lease(self, socket: Socket, interface: str) -> bool:
        """Check a kept lease by the policy of the interface that made it."""
        self.policies.of(interface).check_socket(socket)
        return True

    @hookimpl
    def check_target(self, socket: Socket, interface: str) -> bool:
        """Check the target of a replay by the policy of the interface."""
        self.leases.check_target(self.policies.of(interface), socket)
        return True

    @hookimpl(tryfirst=True)
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Limit the names of a lease before other plugins raise events about it."""
        self.leases.lease_changed(lease, change)

    @hookimpl
    def subscriber_released(self, subscriber: Subscriber) -> None:
        """Lift the limits of a subscriber that is done."""
        self.leases.released(subscriber)

    @hookimpl(tryfirst=True)
    def host_answered(self, host: str) -> None:
        """End the leases that may not connect to the new addresses of *host*."""
        self.leases.answered(host)

    @hookimpl
    def networks_beyond(self, endpoints: Iterable[tuple[str, int]]) -> tuple[Network, ...] | None:
        """Return the networks of the interfaces whose clients have subscribed *endpoints*."""
        return self.leases.beyond(endpoints)

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands of the Events Interface, of the process, and of statistics."""
        of_statistics = statistics_commands(self._context, self.load, self.policies)
        of_core, of_events = core_commands(self._context, self.policies), evi_commands(self._context, self)
        for command in (*of_core, *of_events, *of_statistics):
            commands.add(command)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """The dispatcher of requests under the policy of all clients."""
        return Dispatcher(self._context().commands, self.policies)

    @hookimpl
    def start(self) -> None:
        """Start to measure the load of the process, and limit the names of the leases that exist."""
        self._is_started = True
        self.load.start()
        self.leases.adopt()

    @hookimpl
    def stop(self) -> None:
        """Stop the measurement; a reload that removes the plugin ends the leases of clients and refuses requests."""
        self.load.stop()
        if self._is_started and self._context().host.is_running:
            self.policies.configure(ManagementOptions(schemes=[], raise_events=[], commands=[]), {})
            self.leases.end_all()


def refer_events(collector: EventCollector, patterns: Iterable[str], option: str) -> None:
    """Compare the *patterns* in *option* with the events that plugins declare."""
    for index, pattern in enumerate(patterns):
        collector.refer_pattern(pattern, f"{option}[{index}]")


def dispatcher_of(context: PluginContext) -> Dispatcher:
    """Return the dispatcher for the requests of the management interface of *context*.

    The table of the management interface may narrow the policy.

    Raises:
        ConfigError: if the plugin ``mi`` is disabled or not loaded.
    """
    management = context.plugins.get_plugin(NAME)
    if not isinstance(management, Management):
        raise ConfigError([f"expected the plugin {NAME!r}, which is not loaded"])
    return management.dispatcher.of(context.name)
