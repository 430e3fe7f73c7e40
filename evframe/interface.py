"""`EventInterface`: the registry, the leases and the delivery, put together."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from time import monotonic
from types import TracebackType
from typing import Any, Self

import attrs

from evframe.config import Config, load_config
from evframe.context import PluginContext
from evframe.delivery import Delivery
from evframe.events import Event, EventDefinition, EventRegistry
from evframe.exceptions import ConfigError, SocketError, UnknownEventError
from evframe.inbox import Inbox
from evframe.leases import Leases
from evframe.listening import Listener, compile_pattern
from evframe.management.commands import CommandTable
from evframe.management.core import core_commands
from evframe.management.dispatcher import Dispatcher
from evframe.management.evi import evi_commands
from evframe.nesting import depth
from evframe.plugins import PluginManager, PluginStatus, compose, load_plugins
from evframe.statistics import Counters, Ended
from evframe.subscribers import Subscriber, Subscription
from evframe.transports import Transports

log = logging.getLogger("evframe.interface")


@attrs.frozen
class Outcome:
    """What became of one event at one subscriber: delivered when *reason* is None."""

    socket: str
    reason: str | None

    @property
    def delivered(self) -> bool:
        """Whether the far side has the event, as far as its transport can know."""
        return self.reason is None


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
        self.plugin_status: list[PluginStatus] = []
        if plugins is None:
            options = dict(config.plugins)
            if config.routes:
                table = options.get("route", {})
                options["route"] = {**table, "routes": {**table.get("routes", {}), **config.routes}}
            self.plugin_status = load_plugins(
                self._manager, self._events, self._commands, config.disable, options, problems
            )
            problems[:] = [problem.replace("plugins.route.routes", "routes", 1) for problem in problems]
        else:
            for name, plugin in plugins.items():
                self.plugin_status.append(compose(self._manager, name, plugin, self._events, self._commands))
        self._transports = Transports(self._manager)
        self._manager.on_change = self._transports.resolve
        self._delivery = Delivery(
            queue_size=core.queue_size,
            overflow=core.overflow,
            end_timeout_s=core.drain_timeout_s,
            on_end=self._release,
        )
        self._deliver = self._delivery.put
        self._leases = Leases(clock, self._delivery.end)
        self._inbox = Inbox(core.queue_size, self._put, self._lose)
        self._listeners: dict[Listener, Subscriber] = {}
        self._leaving: set[Subscriber] = set()
        self._events.on_new = self._listen_to
        self._ended = Ended()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = get_ident()
        self._by_name = self._events.by_name
        self._max_nesting = core.max_nesting
        self._block = core.overflow == "block"
        self._drain_timeout_s = core.drain_timeout_s
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
                self.register_event(event.name, event.types)
            except ValueError as error:
                problems.append(f"events[{index}].name: {error}")
        for index, lease in enumerate(config.subscriptions):
            try:
                self.register_event(lease.event)
                self.subscribe_event(lease.event, lease.socket, lease.expire_s)
            except SocketError as error:
                problems.append(f"subscriptions[{index}].socket: {error}")
            except ValueError as error:
                problems.append(f"subscriptions[{index}].event: {error}")

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._delivery.start()
        self._inbox.start(self._loop)
        self._set_timer()
        try:
            self._manager.hook.start(context=PluginContext(self, self.management, self._spawn))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a plugin's task ended with an error", exc_info=task.exception())

    async def _stop_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._drain_timeout_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._stop_tasks()
        self._inbox.stop()
        await self._delivery.drain(self._subscribers, self._drain_timeout_s)
        for listener in list(self._listeners):
            listener.close()
        self._loop = None
        for subscriber in self._leases.subscribers.values():
            subscriber.transport.unsubscribed(socket=subscriber.socket)
        self._manager.hook.stop()

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

    def register_event(self, name: str, params: Mapping[str, type] | None = None) -> int:
        """Register an event and return its id; a known name keeps its id."""
        return self._events.register(name, params).id

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
            if definition.params is not None:
                definition.check(params)
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
        loop = asyncio.get_running_loop()
        waits: list[tuple[Subscriber, asyncio.Future[str | None]]] = []
        for subscriber in definition.targets:
            future: asyncio.Future[str | None] = loop.create_future()
            if subscriber.waiting is None:
                subscriber.waiting = {}
            subscriber.waiting[id(event)] = future.set_result
            waits.append((subscriber, future))
        try:
            self._put(event)
            if waits:
                left = None if until is None else max(0.0, until - monotonic())
                await asyncio.wait([future for _, future in waits], timeout=left)
        finally:
            for subscriber, _ in waits:
                if subscriber.waiting is not None:
                    subscriber.waiting.pop(id(event), None)
                    subscriber.waiting = subscriber.waiting or None
        return [
            Outcome(subscriber.socket.canonical, future.result() if future.done() else "pending")
            for subscriber, future in waits
        ]

    def listen(self, pattern: str = "*", *, where: Mapping[str, str] | None = None) -> Listener:
        """Return the events to come whose name matches *pattern*, for `async for`.

        It listens from this call on, until it is closed: use it in an `async with`.

        Args:
            pattern: an `fnmatch` pattern of event names; events registered later count too.
            where: patterns by parameter name; see `evframe.listening.matches`.
        """
        listener = Listener(pattern, where or {}, self._stop_listening)
        self._listeners[listener] = Subscriber(listener.socket, listener)
        for event in self._events:
            self._listen_to(event, listener)
        return listener

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

    def _listen_to(self, event: EventDefinition, listener: Listener | None = None) -> None:
        for each in self._listeners if listener is None else (listener,):
            if compile_pattern(each.pattern).match(event.name):
                event.listeners = (*event.listeners, self._listeners[each])
                event.changed()

    def _stop_listening(self, listener: Listener) -> None:
        subscriber = self._listeners.pop(listener)
        self._leaving.add(subscriber)
        for event in self._events:
            if subscriber in event.listeners:
                event.listeners = tuple(other for other in event.listeners if other is not subscriber)
                event.changed()
        self._delivery.end(subscriber)

    @property
    def _subscribers(self) -> list[Subscriber]:
        return [*self._leases.subscribers.values(), *self._listeners.values(), *self._leaving]

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
        lease = self._leases.subscribe(definition, parsed, transport, expire_s)
        if self._loop is not None and self._leases.next_due < self._timer_at:
            self._set_timer()
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
        self._leaving.discard(subscriber)
        self._ended.add(subscriber)
        try:
            subscriber.transport.unsubscribed(socket=subscriber.socket)
        except Exception:
            log.exception("a transport raised an error", extra={"socket": subscriber.socket.canonical})

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = self._leases.next_due
        if self._loop is not None and self._timer_at < math.inf:
            delay = min(max(0.0, self._timer_at - self._leases.clock()), 3600.0)
            self._timer = self._loop.call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.expire()
        self._set_timer()
