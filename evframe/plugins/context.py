"""The context of a plugin: its methods and attributes are what a plugin may do with its interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import attrs

from evframe.config import CoreOptions
from evframe.delivery.members import Address, Member
from evframe.delivery.outcomes import Outcome
from evframe.delivery.statistics import StatisticGroup
from evframe.events.declarations import ParameterTypes
from evframe.events.event import Event
from evframe.plugins.changes import Changes
from evframe.plugins.commands import CommandTable
from evframe.plugins.manager import PluginManager
from evframe.plugins.status import StatusRegistry
from evframe.plugins.subscribing import Subscribing
from evframe.plugins.tasks import PluginTasks
from evframe.plugins.workers import CallLimit, WorkerGroup
from evframe.subscriptions.channel import Channel, Subscription
from evframe.subscriptions.hosts import Network
from evframe.subscriptions.lease_networks import LeaseNetworks
from evframe.subscriptions.policy import Policies
from evframe.subscriptions.raising import Raising
from evframe.subscriptions.resolving import Resolver


class Host(Protocol):
    """What holds the interface: a service, or the gateway."""

    @property
    def core(self) -> CoreOptions:
        """The table ``[core]``."""

    @property
    def config_path(self) -> str | Path | None:
        """The file that the configuration was read from, if it was."""

    @property
    def is_gateway(self) -> bool:
        """Whether the process is a gateway; in a service, the service decides what is kept and opened."""

    @property
    def is_running(self) -> bool:
        """Whether the interface is entered, and is not being left."""

    def reload(self) -> Changes:
        """Apply the current file of the configuration; ConfigError with its problems, when nothing was applied."""


@attrs.frozen(kw_only=True)
class PluginContext:
    """Handed to the hooks `loaded` and `start`."""

    name: str
    """The plugin's."""
    _raising: Raising
    leases: Subscribing
    """The subscriptions, with the state of each subscriber."""
    host: Host
    """The holder of the interface: its options, its configuration file, and whether the interface is running."""
    resolver: Resolver
    """The resolver that all plugins share."""
    status: StatusRegistry
    """The health of each part; the group of a plugin has the plugin's name."""
    policies: Policies
    """What run-time clients may do."""
    commands: CommandTable
    """The management commands of all plugins."""
    call_limit: CallLimit
    """How long a call of code that handles an event may take."""
    _networks: LeaseNetworks
    _plugins: PluginManager
    _tasks: PluginTasks

    def plugin(self, name: str) -> Any:
        """Return the loaded plugin called *name*, or None."""
        return self._plugins.get_plugin(name)

    def statistics(self) -> list[StatisticGroup]:
        """Return the counts of all plugins, in the order of their loading."""
        return [group for groups in reversed(self._plugins.ask("statistics")) for group in groups]

    def networks_beyond(self, endpoints: Iterable[tuple[str, int]]) -> tuple[Network, ...] | None:
        """Return the networks that hosts named by the peers at *endpoints* must be in; None for any.

        The networks come from the policy of run-time clients. Call this before each connection, because a reload
        can change the policy.
        """
        return self._networks.beyond(endpoints)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run *work* as a task, which is cancelled when the interface is left or the plugin is removed."""
        return self._tasks.spawn(work)

    def parse_socket(self, text: str) -> Address:
        """Return the address of a socket of any transport; SocketError when it cannot be used."""
        return self.leases.parse_socket(text)

    def open_member(self, address: Address, on_away: Callable[[str], None] | None = None) -> Member:
        """Return a subscriber that the plugin feeds; see `evframe.plugin.Member`."""
        return self.leases.open_member(address, on_away)

    def close_member(self, member: Member) -> None:
        """Close a member, once its events are delivered or its time is over."""
        self.leases.close_member(member)

    def event(self, name: str) -> Channel:
        """Return the definition of *name*; UnknownEventError when it is not registered."""
        return self._raising.event(name)

    @property
    def events(self) -> Iterator[Channel]:
        """The registered events."""
        return self._raising.events

    @property
    def worker_groups(self) -> list[WorkerGroup]:
        """The groups of workers of all plugins."""
        return [group for groups in self._plugins.ask("worker_groups") for group in groups]

    def add_hooks(self, hooks: Any) -> None:
        """Register an object with further hooks of the plugin, such as a wrapper round `deliver`."""
        self._plugins.register(hooks)

    def remove_hooks(self, hooks: Any) -> None:
        """Remove an object that `add_hooks` has registered."""
        self._plugins.unregister(hooks)

    def register_event(
        self, name: str, params: ParameterTypes | None = None, *, summary: str = "", enforced: bool = True
    ) -> int:
        """Register an event and return its id; see `EventInterface.register_event`."""
        return self._raising.register_event(name, params, summary=summary, enforced=enforced)

    def subscribe_event(self, name: str, socket: str, expire_s: int = 0) -> None:
        """Subscribe *socket* to an event for as long as the plugin's options say so, as `[[subscriptions]]` do."""
        self.leases.subscribe_event(name, socket, expire_s, configured=True)

    def unsubscribe_event(self, name: str, socket: str) -> bool:
        """End a subscription; return whether there was one."""
        return self.leases.unsubscribe_event(name, socket)

    @property
    def subscriptions(self) -> list[Subscription]:
        """The leases that have not ended, by event, the oldest first."""
        return self.leases.subscriptions

    def restore_subscription(
        self, name: str, socket: str, expire_s: int, remaining_s: float | None, interface: str = ""
    ) -> bool:
        """Subscribe as an earlier process did; see `EventInterface.restore_subscription`."""
        return self.leases.restore_subscription(name, socket, expire_s, remaining_s, interface)

    def seconds_left(self, lease: Subscription) -> float | None:
        """Return the seconds that *lease* has left; None when it never ends."""
        return self.leases.seconds_left(lease)

    def raise_event(self, name: str, params: Any = None) -> None:
        """Raise an event; see `EventInterface.raise_event`."""
        self._raising.raise_event(name, params)

    async def raise_event_and_wait(
        self, name: str, params: Any = None, *, timeout_s: float | None = 10.0
    ) -> list[Outcome]:
        """Raise an event and return its outcomes; see `EventInterface.raise_event_and_wait`."""
        return await self._raising.raise_event_and_wait(name, params, timeout_s=timeout_s)

    def raise_event_and_tell(self, name: str, params: Any, done: Callable[[Sequence[str | None]], None]) -> None:
        """Raise an event, and call *done* with its outcomes; see `EventInterface.raise_event_and_tell`."""
        self._raising.raise_event_and_tell(name, params, done)

    def prepare_event(self, name: str, params: Any) -> Event:
        """Return an event for `raise_prepared`, with its parameters read and encoded; from any thread.

        Raises:
            UnknownEventError: if the event is not registered.
            ParameterError: if the parameters break the declaration or cannot be sent.
        """
        return self.event(name).snapshot(params, monotonic())

    def raise_prepared(self, event: Event, done: Callable[[Sequence[str | None]], None] | None = None) -> None:
        """Raise an event of `prepare_event`; see `EventInterface.raise_prepared`."""
        self._raising.raise_prepared(event, done)

    def has_subscribers(self, name: str) -> bool:
        """Return whether the event *name* has a subscriber."""
        return bool(self._raising.event(name).targets)

    def connection_closed(self, peer: tuple[str, int], local: tuple[str, int], protocol: str) -> None:
        """Call the hook `connection_closed` of all plugins."""
        if self.host.is_running:
            self._plugins.tell("connection_closed", peer=peer, local=local, protocol=protocol)
