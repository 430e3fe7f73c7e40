"""The context of a plugin: what a plugin may do with its interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
from evframe_declarations import EventType, ParameterTypes
from evframe_resolver import Network

from evframe.config import CoreOptions
from evframe.delivery.scheduler import Observer
from evframe.events.event import Event
from evframe.plugins.changes import Changes
from evframe.plugins.commands import CommandTable
from evframe.plugins.manager import PluginManager, PluginStatus
from evframe.plugins.status import StatusRegistry
from evframe.plugins.subscribing import Subscribing
from evframe.plugins.tasks import PluginTasks
from evframe.plugins.transports import Transports
from evframe.plugins.workers import CallLimit
from evframe.subscriptions.channel import Filter
from evframe.subscriptions.raising import Raising
from evframe.subscriptions.resolving import Resolver
from evframe.subscriptions.roster import Roster


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

    @property
    def plugin_status(self) -> list[PluginStatus]:
        """Whether each installed plugin is loaded, with its kind and the events that it declares."""

    def reload(self) -> Changes:
        """Apply the current file of the configuration; ConfigError with its problems, when nothing was applied."""


@attrs.define(kw_only=True, eq=False)
class PluginContext:
    """Handed to the hooks `loaded` and `start`: the parts of the interface, and what most plugins do with them.

    While a configuration is composed, `raising`, `leases`, `roster` and `host` are an
    `evframe.plugins.draft.Draft`, which registers events and subscribes. Anything else is an error then.
    """

    name: str
    """The plugin's."""
    raising: Raising
    """Registers events and raises them."""
    leases: Subscribing
    """The subscriptions, with the state of each subscriber."""
    roster: Roster
    """All subscribers: their counters, and members, which are subscribers that a plugin feeds."""
    host: Host
    """The holder of the interface: its options, its configuration file, and whether the interface is running."""
    resolver: Resolver
    """The resolver of host names that all plugins share."""
    transports: Transports
    """The sockets of all plugins: `parse` returns the address of a text."""
    status: StatusRegistry
    """The health of each part; the group of a plugin has the plugin's name."""
    options: Callable[[], dict[str, Any]]
    """Returns the options of each loaded plugin by its name; None for a plugin without options."""
    commands: CommandTable
    """The management commands of all plugins."""
    call_limit: CallLimit
    """How long a call of code that handles an event may take."""
    plugins: PluginManager
    """All plugins: their statistics, their workers, and further hooks that are registered and unregistered."""
    tasks: PluginTasks
    """The tasks of the plugin."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run *work* as a task, which is cancelled when the interface is left or the plugin is removed."""
        return self.tasks.spawn(work)

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call *observer* with each batch of any subscriber that is over; return what ends this.

        Args:
            observer: called on the loop with the socket, the batch with its failures, the error of the
                whole batch or None, and the seconds from the delivery to the outcome. Without an
                observer no time is measured. End it in the hook `stop`.
        """
        return self.leases.observe(observer)

    def carried_by(self, events: Sequence[Event]) -> Sequence[Mapping[str, str] | None] | None:
        """Return the headers that a transport sends with each of *events*; None when none of them has any."""
        if self.raising.tracing is None:
            return None
        carried = [event.carried for event in events]
        return carried if any(carried) else None

    def register_event(
        self,
        name: str | type[EventType],
        params: ParameterTypes | None = None,
        *,
        summary: str = "",
        enforced: bool = True,
    ) -> int:
        """Register an event and return its id; see `EventInterface.register_event`."""
        return self.raising.register_event(name, params, summary=summary, enforced=enforced)

    def raise_event(self, name: str | EventType, params: Any = None) -> None:
        """Raise an event; see `EventInterface.raise_event`."""
        self.raising.raise_event(name, params)

    def has_subscribers(self, name: str) -> bool:
        """Return whether the event *name* has a subscriber."""
        return self.raising.event(name).has_targets

    def subscribe_event(self, name: str, socket: str, expire_s: int = 0) -> None:
        """Subscribe *socket* to an event for as long as the plugin's options say so, as `[[subscriptions]]` do."""
        self.leases.subscribe_event(name, socket, expire_s, configured=True)

    def compile_filter(self, text: str) -> Filter:
        """Return the filter of an expression: CESQL, or another dialect that its first word names, as in ``cel:...``.

        Raises:
            ValueError: if the expression is not valid, or no plugin has its dialect.
        """
        dialect, colon, rest = text.partition(":")
        if not colon or not dialect.isidentifier():
            dialect, rest = "", text
        found: Filter | None = self.plugins.decide("compile_filter", dialect=dialect, text=rest)
        if found is None:
            what = f"the dialect {dialect!r}" if dialect else "CESQL"
            raise ValueError(f"expected an expression of a loaded dialect, got one of {what}")
        return found

    def networks_beyond(self, endpoints: Iterable[tuple[str, int]]) -> tuple[Network, ...] | None:
        """Return the networks that hosts named by the peers at *endpoints* must be in; None for any.

        Call this before each connection, because a reload can change the policy.
        """
        networks: tuple[Network, ...] | None = self.plugins.decide("networks_beyond", endpoints=endpoints)
        return networks

    def connection_closed(self, peer: tuple[str, int], local: tuple[str, int], protocol: str) -> None:
        """Call the hook `connection_closed` of all plugins."""
        if self.host.is_running:
            self.plugins.notify("connection_closed", peer=peer, local=local, protocol=protocol)
