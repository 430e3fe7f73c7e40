"""`EventInterface`: the registry, the leases and the delivery, put together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from time import monotonic
from types import TracebackType
from typing import Any, Self

from evframe.composition import Composition
from evframe.config import Config, CoreOptions, read_config_file
from evframe.conflicts import clashes, contradictions, misspelt_events, why_no_scheme
from evframe.context import PluginContext
from evframe.declarations import ParameterTypes, declare
from evframe.events.event import Event, EventDefinition, EventRegistry
from evframe.exceptions import ConfigError, SocketError, UnknownEventError
from evframe.inbox import Inbox
from evframe.listening import Listener
from evframe.management.client_leases import ClientLeases
from evframe.management.commands import CommandTable
from evframe.management.core import core_commands
from evframe.management.dispatcher import Dispatcher
from evframe.management.evi import evi_commands
from evframe.management.lease_networks import LeaseNetworks
from evframe.management.load import Load
from evframe.management.statistics import statistics_commands
from evframe.members import Address, Member
from evframe.nesting import depth
from evframe.outcomes import Outcome, OutcomeTeller, OutcomeWait
from evframe.plugins import PluginManager, PluginStatus
from evframe.reloading import Changes, Parts, Reload, describe
from evframe.roster import Roster, check_declaration
from evframe.sockets import Socket
from evframe.statistics import Counters
from evframe.status import StatusChange, StatusRegistry
from evframe.structuring import check_timeout
from evframe.subscribers import Subscription
from evframe.subscriptions.names import HostAddress
from evframe.subscriptions.policy import Policies
from evframe.subscriptions.references import has_reference
from evframe.subscriptions.resolving import Resolver
from evframe.tasks import PluginTasks
from evframe.transports import Transports
from evframe.workers import CallLimit, WorkerGroup

log = logging.getLogger("evframe.interface")


class EventInterface:
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
        """Names in the configuration that were probably meant otherwise."""
        core = config.core
        problems = list(config.problems)
        self._events = EventRegistry()
        self._commands = CommandTable()
        self.policies = Policies(config.management)
        self.management = Dispatcher(self._commands, self.policies)
        self.status = StatusRegistry(self._tell_status)
        self.load = Load()
        """The load of the process, while the interface is entered."""
        self._own_status = self.status.group("core")
        self._own_status.add(status=-100, details="just started", reports=10)
        self.call_limit = CallLimit()
        self._composition = Composition(self._events, self._commands, self._make_context)
        self._manager = self._composition.manager
        about_core = core_commands(self._commands, lambda: describe(self.reload()))
        for command in (*about_core, *evi_commands(self), *statistics_commands(self)):
            self._commands.add(command)
        self.is_gateway = gateway
        """Whether this is the daemon's interface."""
        self._add_plugins(config, plugins, problems)
        if given and plugins is None:
            problems += clashes(self._composition.statuses, self._composition.declared)
        self._transports = Transports(self._manager, self._why_no_scheme)
        self._manager.on_change = self._transports.resolve
        self.resolver = Resolver(self._tell_addresses)
        """The resolver of host names that all plugins share."""
        self.lease_networks = networks = LeaseNetworks(self.policies, self.resolver)
        """The networks that leases, and the hosts that their peers name, are limited to."""
        self._roster = Roster(self._events, core, clock, self._manager.tell, networks)
        networks.end = self._roster.leases.end
        self.client_leases = ClientLeases(self._events, self._transports.parse, self._roster, self.policies, networks)
        self._inbox = Inbox(core.queue_size, self._put, self._lose)
        self.is_running = False
        """Whether the interface is entered, and is not being left."""
        self.config_path: str | Path | None = None
        """The file that `reload` reads."""
        self._has_own_plugins = plugins is not None
        self._thread = get_ident()
        self._by_name = self._events.by_name
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
        return PluginContext(self, self.management.of(name), tasks)

    def _why_no_scheme(self, scheme: str, known: Sequence[str]) -> str:
        return why_no_scheme(scheme, known, self._composition.statuses)

    def _configure(self, core: CoreOptions) -> None:
        """Take the options of the core."""
        self.core = core
        self._max_nesting = core.max_nesting
        self._roster.configure(core)
        self._deliver = self._roster.delivery.put
        self._inbox.room = core.queue_size
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

        Leases that the difference does not touch go on, with what is queued for them. Events stay
        registered, whatever the configuration has.

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
            self.policies,
            self.client_leases,
        )

    def _apply(self, config: Config, problems: list[str]) -> None:
        """Register the configured events and make the configured subscriptions."""
        problems += contradictions(config.events, self._composition.declared)
        self.hints += config.placed(self._misspelt(config))
        for index, event in enumerate(config.events):
            if event is None:
                continue  # it is among the problems
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
        self.load.start()
        self._roster.start()
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
        terminating.status, terminating.details = -2, "shutting down"  # of which nobody is told
        timeout_s = self.core.drain_timeout_s
        self._roster.stop_expiring()
        await self._composition.end_tasks(timeout_s)
        self._inbox.flush()
        await self._roster.drain(timeout_s)
        self._inbox.stop()
        self.load.stop()
        self.resolver.close()
        await self._composition.stop(max(1.0, timeout_s))

    @property
    def plugin_status(self) -> list[PluginStatus]:
        """What became of each plugin."""
        return self._composition.statuses

    def event(self, name: str) -> EventDefinition:
        """Return the definition of *name*; UnknownEventError when it is not registered."""
        return self._events[name]

    def subscription(self, name: str, socket: str) -> Subscription | None:
        """Return the lease of *socket* on an event, or None.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the socket cannot be used.
        """
        self.expire()
        event = self._events[name]
        # The text that listings show of a configured socket may have references, which nothing else may be parsed with.
        canonical = socket if has_reference(socket) else self._transports.parse(socket).socket.canonical
        return self._roster.leases.find(event, canonical)

    def register_event(
        self, name: str, params: ParameterTypes | None = None, *, summary: str = "", enforced: bool = True
    ) -> int:
        """Register an event and return its id; a known name keeps its id.

        Args:
            name: 1 to 64 bytes.
            params: its parameters in order, each a type or a `Parameter`; without it, anything can be raised.
            summary: when it is raised, in a sentence.
            enforced: whether a raise that does not fit is refused.

        Raises:
            EventNameError: if the name is empty or longer than 64 bytes.
            ParameterError: if a subscriber has a parameter in its text that *params* lack.
        """
        declaration = declare(name, params, summary=summary, enforced=enforced)
        known = self._by_name.get(name)
        if known is not None:
            check_declaration(known, declaration)
        return self._events.register(name, declaration).id

    @property
    def events(self) -> Iterator[EventDefinition]:
        """The registered events in the order of their ids."""
        return iter(self._events)

    @property
    def subscriptions(self) -> list[Subscription]:
        """The leases that have not ended, by event, the oldest first."""
        return self._roster.subscriptions

    def remaining_s(self, lease: Subscription) -> int:
        """Return the whole seconds that *lease* has left, rounded up."""
        return lease.remaining_s(self._roster.leases.clock())

    def away(self, lease: Subscription) -> str | None:
        """Return why the subscriber of *lease* cannot be reached, such as `unresolved`; None when it can."""
        return self._roster.away(lease.subscriber)

    def state(self, lease: Subscription) -> str:
        """Return whether the subscriber of *lease* is `connected`, `away`, or `unknown`, as it was last found."""
        return self._roster.state(lease.subscriber)

    def seconds_left(self, lease: Subscription) -> float | None:
        """Return the seconds that *lease* has left; None when it never ends."""
        return lease.deadline - self._roster.leases.clock() if lease.expire_s else None

    def raise_event(self, name: str, params: Any = None) -> None:
        """Raise an event for its subscribers; returns at once, from any thread.

        Raises:
            UnknownEventError: if the event is not registered.
            ParameterError: if the parameters break the declaration or cannot be sent.
        """
        try:
            definition = self._by_name[name]
        except (KeyError, TypeError):
            raise UnknownEventError(name) from None
        if get_ident() != self._thread:
            self._inbox.put(definition.snapshot(params, monotonic(), depth.get()))
            return
        targets = definition._targets  # noqa: SLF001 the property would cost a quarter of an idle raise
        if targets:
            nesting = depth.get()
            event = definition.snapshot(params, monotonic(), nesting)
            if nesting < self._max_nesting:
                definition.raised += 1
                self._deliver(targets, event)
            else:
                self._put(event)
        elif targets is None:  # the subscribers have changed
            self._put(definition.snapshot(params, monotonic(), depth.get()))
        else:
            enforced = definition.enforced
            if enforced is not None and not enforced.fits(params):
                enforced.check(params)
            definition.raised += 1

    def raise_prepared(self, event: Event, tell: Callable[[Sequence[str | None]], None] | None = None) -> None:
        """Raise an event that `EventDefinition.snapshot` has made, perhaps on another thread; on the loop's thread.

        *tell* is as for `raise_event_and_tell`.
        """
        if tell is not None:
            OutcomeTeller(event, event.definition.targets, tell)
        self._put(event)

    def _put(self, event: Event) -> None:
        """Count an event and queue it for its targets; on the loop's thread."""
        definition = event.definition
        definition.raised += 1
        targets = definition.targets
        if not targets:
            return
        if event.depth < self._max_nesting:
            self._deliver(targets, event)
            return
        for subscriber in targets:
            subscriber.raised += 1
            subscriber.settle(event, "nesting")
        log.error("an event was raised too deep inside others", extra={"event": definition.name, "depth": event.depth})

    def _lose(self, definition: EventDefinition, count: int) -> None:
        """Count events of other threads that found no room."""
        definition.raised += count
        for subscriber in definition.targets:
            subscriber.raised += count
            subscriber.lose("inbox_full", count)

    async def raise_event_and_wait(
        self, name: str, params: Any = None, *, timeout_s: float | None = 10.0
    ) -> list[Outcome]:
        """Raise an event and return one outcome per subscriber.

        Args:
            name: the event.
            params: its parameters.
            timeout_s: seconds to wait; an outcome that is still open then has the reason `pending`.
                None waits for as long as it takes.

        Raises:
            ValueError: if *timeout_s* is no number of seconds; nothing is raised then.
        """
        check_timeout("timeout_s", timeout_s)
        definition = self._events[name]
        event = definition.snapshot(params, monotonic(), depth.get())
        until = None if timeout_s is None else monotonic() + timeout_s
        if self._roster.delivery.room.is_used:
            # Nothing may come between the end of the wait and the raise, or the room is somebody else's.
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._roster.delivery.room.wait(event)
        wait = OutcomeWait(event, definition.targets)
        try:
            self._put(event)
            return await wait.report(None if until is None else max(0.0, until - monotonic()))
        finally:
            wait.close()

    def raise_event_and_tell(self, name: str, params: Any, tell: Callable[[Sequence[str | None]], None]) -> None:
        """Raise an event and return at once; *tell* hears later what became of it. On the loop's thread.

        This is for who raises many events and has to know about each: it takes no task for any of them.

        Args:
            name: the event.
            params: its parameters.
            tell: called once, perhaps before this returns, with the reason of the failure at each
                subscriber, or None where it was delivered; it must neither take long nor raise.
        """
        definition = self._events[name]
        event = definition.snapshot(params, monotonic(), depth.get())
        OutcomeTeller(event, definition.targets, tell)
        self._put(event)

    def listen(self, pattern: str = "*", *, where: Mapping[str, str] | None = None) -> Listener:
        """Return the events to come whose name matches *pattern*, for `async for`.

        It listens from this call on, until it is closed: use it in an `async with`.

        Args:
            pattern: an `fnmatch` pattern of event names; events registered later count too.
            where: patterns by parameter name; see `evframe.listening.matches`.
        """
        return self._roster.listeners.add(pattern, where or {})

    async def wait_for_event(
        self, name: str, *, where: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Event:
        """Return the next event called *name* that matches.

        Args:
            name: a registered event, or a pattern of names.
            where: patterns by parameter name, such as ``{"aor": "bob@*"}``.
            timeout_s: seconds to wait; None waits for as long as it takes.

        Raises:
            UnknownEventError: if *name* is no pattern and not registered.
            TimeoutError: if none came in time.
            ValueError: if *timeout_s* is no number of seconds.
        """
        check_timeout("timeout_s", timeout_s)
        if not set("*?[") & set(name):
            self.event(name)
        async with asyncio.timeout(timeout_s), self.listen(name, where=where) as listener:
            return await anext(listener)

    @property
    def statistics(self) -> list[Counters]:
        """The counters of every subscriber, then the sums over those that are gone."""
        return self._roster.statistics

    @property
    def counters(self) -> list[Callable[[], Counters]]:
        """What reads each of the `statistics`, for callers that read them one by one."""
        return self._roster.counters

    @property
    def totals(self) -> Counters:
        """The sums over the `statistics`, without reasons."""
        return self._roster.totals

    @property
    def subscribed(self) -> int:
        """How many subscribers there are: with leases, or listening in this process."""
        return len(self._roster.subscribers)

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

    def subscribe_event(self, name: str, socket: str, expire_s: int = 0, *, configured: bool = False) -> Subscription:
        """Subscribe *socket* to an event, or refresh its lease; *expire_s* 0 never ends.

        A lease that is *configured* comes from the configuration again after a restart, and goes
        when a configuration that is loaded again does not have it.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the scheme is unknown or the text does not fit its grammar.
        """
        if type(expire_s) is int:
            check_timeout("expire_s", expire_s)
        if type(expire_s) is not int or expire_s < 0:
            raise ValueError(f"expire_s: expected 0 or more whole seconds, got {expire_s!r}")
        event, address = self._events[name], self._transports.parse(socket, configured=configured)
        return self._roster.subscribe(event, address, expire_s, configured=configured)

    def restore_subscription(
        self, name: str, socket: str, expire_s: int, remaining_s: float | None, interface: str = ""
    ) -> bool:
        """Subscribe with a lease of which *remaining_s* seconds are left; None for one that never ends.

        The rules are those of the management *interface* that made it, or of all where it is not known. A lease that
        is there already stays as it is. Returns whether one was made.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the socket cannot be used, or the policy of run-time clients does not permit it.
        """
        event, address = self._events[name], self._transports.parse(socket)
        if self._roster.leases.find(event, address.socket.canonical) is not None:
            return False
        self.client_leases.restore(event, address, expire_s, remaining_s, interface)
        return True

    def unsubscribe_event(self, name: str, socket: str) -> bool:
        """End a subscription; return whether there was one."""
        definition = self._events[name]
        return self._roster.unsubscribe(definition, self._transports.parse(socket).socket.canonical)

    def expire(self) -> None:
        """End every lease whose time has come."""
        self._roster.leases.expire()

    @property
    def worker_groups(self) -> list[WorkerGroup]:
        """The groups of workers of all plugins."""
        return [group for groups in self._manager.ask("worker_groups") for group in groups]

    def _tell_registered(self, event: EventDefinition) -> None:
        self._manager.tell("event_registered", event=event)

    def _tell_addresses(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        self._manager.tell("addresses_changed", host=host, addresses=addresses)

    def _tell_status(self, change: StatusChange) -> None:
        self._manager.tell("status_changed", change=change)

    def parse_socket(self, text: str) -> Address:
        """Return the address of a socket; SocketError when it cannot be used."""
        return self._transports.parse(text)

    def open_member(self, address: Address, on_away: Callable[[str], None] | None = None) -> Member:
        """Return a member that *address* is delivered to; see `PluginContext.open_member`."""
        return self._roster.open_member(address, on_away)

    def close_member(self, member: Member) -> None:
        """Let a member go."""
        self._roster.close_member(member)

    def describe(self, socket: Socket | str) -> dict[str, Any]:
        """Return what the transport of *socket*, or of its text, tells about it, such as the state of its members.

        Raises:
            SocketError: if it is a text that cannot be used.
        """
        if isinstance(socket, str):
            socket = self.parse_socket(socket).socket
        return next(iter(self._manager.ask("describe", socket=socket)), {})
