"""`EventInterface`: the registry, the leases and the delivery, put together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from time import monotonic
from types import TracebackType
from typing import Any, Self

from evframe.config import Config, load_config
from evframe.context import PluginContext
from evframe.declarations import ParameterTypes, declare
from evframe.delivery import Delivery
from evframe.events import Event, EventDefinition, EventRegistry
from evframe.exceptions import ConfigError, SocketError, UnknownEventError
from evframe.inbox import Inbox
from evframe.leases import ExpiryTimer, Leases
from evframe.listening import Listener, Listeners
from evframe.management.commands import CommandTable
from evframe.management.core import core_commands
from evframe.management.dispatcher import Dispatcher
from evframe.management.evi import evi_commands
from evframe.members import Address, Member
from evframe.nesting import depth
from evframe.outcomes import Outcome, OutcomeWait
from evframe.plugins import PluginManager, PluginStatus, compose, load_plugins
from evframe.sockets import Socket
from evframe.statistics import Counters, Ended
from evframe.status import StatusChange, StatusRegistry
from evframe.subscribers import LeaseChange, Subscriber, Subscription
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
    ) -> None:
        """Compose an interface.

        Args:
            config: the configuration; the defaults and every installed plugin without one.
            plugins: plugin objects by name instead of the installed ones.
            clock: the monotonic clock of the leases, in seconds.

        Raises:
            ConfigError: with every problem of the configuration.
        """
        config = Config() if config is None else config
        core = config.core
        problems: list[str] = []
        self._events = EventRegistry()
        self._commands = CommandTable()
        for command in (*core_commands(self._commands), *evi_commands(self, core.default_expire_s)):
            self._commands.add(command)
        self.management = Dispatcher(self._commands)
        self._manager = PluginManager()
        self.status = StatusRegistry(self._tell_status)
        self._own_status = self.status.group("core")
        self._own_status.add(status=-100, details="just started", reports=10)
        self.call_limit = CallLimit()
        self.plugin_status: list[PluginStatus] = []
        if plugins is None:
            options = dict(config.plugins)
            if config.routes:
                options["route"] = {"routes": config.routes, **options.get("route", {})}
            self.plugin_status = load_plugins(
                self._manager, self._events, self._commands, config.disable, options, problems
            )
            problems[:] = [problem.replace("plugins.route.routes", "routes", 1) for problem in problems]
        else:
            if config.routes:
                problems.append("routes: expected none beside plugin objects; add them to the route plugin")
            for name, plugin in plugins.items():
                self.plugin_status.append(compose(self._manager, name, plugin, self._events, self._commands))
        self._transports = Transports(self._manager)
        self._manager.on_change = self._transports.resolve
        self._delivery = Delivery(
            queue_size=core.queue_size,
            overflow=core.overflow,
            end_timeout_s=core.drain_timeout_s,
            on_end=self._release,
            on_change=self._tell_delivery,
        )
        self._deliver = self._delivery.put
        self._leases = Leases(clock, self._delivery.end, self._tell_lease)
        self._inbox = Inbox(core.queue_size, self._put, self._lose)
        self._listeners = Listeners(self._events, self._delivery.end)
        self._ended = Ended()
        self._timer = ExpiryTimer(self._leases)
        self._tasks = PluginTasks()
        self._thread = get_ident()
        self._by_name = self._events.by_name
        self._max_nesting = core.max_nesting
        self._block = core.overflow == "block"
        self._drain_timeout_s = core.drain_timeout_s
        self._members: set[Subscriber] = set()
        self._context = PluginContext(self, self.management, self._tasks.spawn)
        self._manager.hook.loaded(context=self._context)
        self._apply(config, problems)
        if problems:
            raise ConfigError(problems)

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Return an interface with the configuration in the file *path*.

        Raises:
            ConfigError: with every problem, each with its path.
        """
        return cls(load_config(path))

    def _apply(self, config: Config, problems: list[str]) -> None:
        """Register the configured events and make the configured subscriptions."""
        for index, event in enumerate(config.events):
            try:
                self.register_event(event.name, event.declared)
            except ValueError as error:
                problems.append(f"events[{index}].name: {error}")
        for index, lease in enumerate(config.subscriptions):
            try:
                self.register_event(lease.event)
                self.subscribe_event(lease.event, lease.socket, lease.expire_s).configured = True
            except SocketError as error:
                problems.append(f"subscriptions[{index}].socket: {error}")
            except ValueError as error:
                problems.append(f"subscriptions[{index}].event: {error}")

    async def __aenter__(self) -> Self:
        self._thread = get_ident()
        self._own_status.set_status(-1, "initializing")
        self._delivery.start()
        self._inbox.start(asyncio.get_running_loop())
        self._timer.start()
        try:
            self._manager.hook.start(context=self._context)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._own_status.set_status(1, "running")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        terminating = self._own_status.add()
        terminating.status, terminating.details = -2, "shutting down"  # of which nobody is told
        self._timer.stop()
        await self._tasks.stop(self._drain_timeout_s)
        self._inbox.stop()
        await self._delivery.drain([*self._subscribers, *self._members], self._drain_timeout_s)
        self._listeners.close()
        # A socket may be that of a subscriber and of members: its transport is told once.
        sockets = {each.socket.canonical: each for each in (*self._members, *self._leases.subscribers.values())}
        for subscriber in sockets.values():
            self._let_go(subscriber)
        self._members.clear()
        ends = [asyncio.ensure_future(end) for end in self._manager.hook.stop() if isinstance(end, Awaitable)]
        if ends:
            _, late = await asyncio.wait(ends, timeout=max(1.0, self._drain_timeout_s))
            for end in late:
                end.cancel()

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
        return self._leases.find(event, self._transports.parse(socket)[0].canonical)

    def register_event(
        self, name: str, params: ParameterTypes | None = None, *, summary: str = "", enforced: bool = True
    ) -> int:
        """Register an event and return its id; a known name keeps its id.

        Args:
            name: 1 to 64 bytes.
            params: its parameters in order, each a type or a `Parameter`; without it, anything can be raised.
            summary: when it is raised, in a sentence.
            enforced: whether a raise that does not fit is refused.
        """
        return self._events.register(name, declare(name, params, summary=summary, enforced=enforced)).id

    @property
    def events(self) -> Iterator[EventDefinition]:
        """The registered events in the order of their ids."""
        return iter(self._events)

    @property
    def subscriptions(self) -> list[Subscription]:
        """The leases that have not ended, by event, the oldest first."""
        self.expire()
        return [lease for event in self._events for lease in event.leases.values()]

    def remaining_s(self, lease: Subscription) -> int:
        """Return the whole seconds that *lease* has left."""
        return lease.remaining_s(self._leases.clock())

    def raise_event(self, name: str, params: Any = None) -> None:
        """Raise an event to whoever subscribed; returns at once, from any thread.

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
            if definition.enforced is not None:
                definition.enforced.check(params)
            definition.raised += 1

    def _put(self, event: Event) -> None:
        """Count an event and queue it for its targets; on the loop's thread."""
        definition = event.definition
        definition.raised += 1
        targets = definition.targets
        if not targets:
            return
        if event.depth < self._max_nesting:
            self._delivery.put(targets, event)
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
        """
        definition = self._events[name]
        event = definition.snapshot(params, monotonic(), depth.get())
        until = None if timeout_s is None else monotonic() + timeout_s
        if self._block:
            # Nothing may come between the end of the wait and the raise, or the room is somebody else's.
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._delivery.room(definition.targets)
        wait = OutcomeWait(event, definition.targets)
        try:
            self._put(event)
            return await wait.report(None if until is None else max(0.0, until - monotonic()))
        finally:
            wait.close()

    def listen(self, pattern: str = "*", *, where: Mapping[str, str] | None = None) -> Listener:
        """Return the events to come whose name matches *pattern*, for `async for`.

        It listens from this call on, until it is closed: use it in an `async with`.

        Args:
            pattern: an `fnmatch` pattern of event names; events registered later count too.
            where: patterns by parameter name; see `evframe.listening.matches`.
        """
        return self._listeners.add(pattern, where or {})

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
        """
        if not set("*?[") & set(name):
            self.event(name)
        async with asyncio.timeout(timeout_s), self.listen(name, where=where) as listener:
            return await anext(listener)

    @property
    def _subscribers(self) -> list[Subscriber]:
        return [*self._leases.subscribers.values(), *self._listeners.subscribers]

    @property
    def statistics(self) -> list[Counters]:
        """The counters of every subscriber, then the sums over those that are gone."""
        return [*map(Counters.of, self._subscribers), self._ended.counters()]

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

    def subscribe_event(self, name: str, socket: str, expire_s: int = 0) -> Subscription:
        """Subscribe *socket* to an event, or refresh its lease; *expire_s* 0 never ends.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the scheme is unknown or the text does not fit its grammar.
        """
        if expire_s < 0:
            raise ValueError(f"expire_s: expected 0 or more seconds, got {expire_s!r}")
        definition = self._events[name]
        parsed, transport = self._transports.parse(socket)
        lease = self._leases.subscribe(definition, parsed, transport, expire_s, socket)
        self._timer.look()
        return lease

    def unsubscribe_event(self, name: str, socket: str) -> bool:
        """End a subscription; return whether there was one."""
        definition = self._events[name]
        lease = self._leases.find(definition, self._transports.parse(socket)[0].canonical)
        if lease is None:
            return False
        self._leases.end(lease)
        return True

    def expire(self) -> None:
        """End every lease whose time has come."""
        self._leases.expire()

    def _release(self, subscriber: Subscriber) -> None:
        """Forget a subscriber that is done."""
        if self._leases.subscribers.get(subscriber.socket.canonical) is subscriber:
            del self._leases.subscribers[subscriber.socket.canonical]
        if subscriber in self._members:
            self._members.discard(subscriber)  # its events are those of the subscriber that it is a member of
        else:
            self._listeners.forget(subscriber)
            self._ended.add(subscriber)
        if not self._is_used(subscriber.socket.canonical):
            self._let_go(subscriber)

    @staticmethod
    def _let_go(subscriber: Subscriber) -> None:
        """Tell the transport of a subscriber that its socket has no use any more."""
        try:
            subscriber.transport.unsubscribed(socket=subscriber.socket)
        except Exception:
            log.exception("a transport raised an error", extra={"socket": subscriber.socket.canonical})

    def _is_used(self, canonical: str) -> bool:
        """Return whether a subscriber or a member still has a socket."""
        return canonical in self._leases.subscribers or any(
            member.socket.canonical == canonical for member in self._members
        )

    @property
    def is_running(self) -> bool:
        """Whether the interface is entered, and is not being left."""
        return self._own_status.add().ready

    @property
    def worker_groups(self) -> list[WorkerGroup]:
        """The groups of workers of all plugins."""
        return [group for groups in self._manager.hook.worker_groups() for group in groups]

    def _tell_lease(self, lease: Subscription, change: LeaseChange) -> None:
        self._manager.tell("lease_changed", lease=lease, change=change)

    def _tell_delivery(self, subscriber: Subscriber, reason: str | None) -> None:
        self._manager.tell("delivery_changed", socket=subscriber.socket, reason=reason)

    def _tell_status(self, change: StatusChange) -> None:
        self._manager.tell("status_changed", change=change)

    def parse_socket(self, text: str) -> Address:
        """Return the address of a socket; SocketError when it cannot be used."""
        return Address(*self._transports.parse(text))

    def open_member(self, address: Address, on_away: Callable[[str], None] | None = None) -> Member:
        """Return a member that *address* is delivered to; see `PluginContext.open_member`."""
        member = Member(self._delivery, address, on_away)
        self._members.add(member.subscriber)
        return member

    def close_member(self, member: Member) -> None:
        """Let a member go."""
        self._delivery.end(member.subscriber)

    def describe(self, socket: Socket) -> dict[str, Any]:
        """Return what the transport of *socket* tells about it, such as the state of its members."""
        return self._manager.hook.describe(socket=socket) or {}
