"""`EventInterface`: the registry, the leases and the delivery, put together."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from evframe.config import Config, load_config
from evframe.context import PluginContext
from evframe.delivery import Batch, Delivery
from evframe.events import EventDefinition, EventRegistry
from evframe.exceptions import ConfigError, SocketError
from evframe.management.commands import CommandTable
from evframe.management.dispatcher import Dispatcher
from evframe.management.evi import evi_commands
from evframe.plugins import EventCollector, load_plugins, make_manager
from evframe.sockets import Socket, split_socket
from evframe.subscribers import Subscriber, Subscription

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
        problems: list[str] = []
        self._manager = make_manager()
        if plugins is None:
            options = dict(config.plugins)
            if config.routes:
                options["route"] = {**options.get("route", {}), "routes": config.routes}
            self.plugin_status = load_plugins(self._manager, config.disable, options, problems)
        else:
            self.plugin_status = []
            for name, plugin in plugins.items():
                self._manager.register(plugin, name=name)
            self._manager.check_pending()
        self._events = EventRegistry()
        self._manager.hook.register_events(collector=EventCollector(self._events))
        core = config.core
        self._delivery = Delivery(
            self._deliver, queue_size=core.queue_size, overflow=core.overflow, on_end=self._release
        )
        self._subscribers: dict[str, Subscriber] = {}
        self._leases: dict[tuple[int, str], Subscription] = {}
        self._due: list[tuple[float, int, Subscription]] = []
        self._due_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._commands = CommandTable()
        for command in evi_commands(self, core.default_expire_s):
            self._commands.add(command)
        self._manager.hook.management_commands(commands=self._commands)
        self.management = Dispatcher(self._commands)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.get_ident()
        self._clock = clock
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
        self._thread = threading.get_ident()
        self._delivery.start()
        self._set_timer()
        try:
            self._manager.hook.start(context=PluginContext(self, self.management, self._spawn))
        except BaseException:
            await self._stop_tasks()
            raise
        return self

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
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
        await self._stop_tasks()
        await self._delivery.drain(list(self._subscribers.values()), self._drain_timeout_s)
        for subscriber in self._subscribers.values():
            self._release(subscriber)
        self._loop = None

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
        return self._leases.get((self._events[name].id, self._parse(socket).canonical))

    def register_event(self, name: str, params: Mapping[str, type] | None = None) -> int:
        """Register an event and return its id; a known name keeps its id."""
        return self._events.register(name, params).id

    @property
    def events(self) -> Iterator[EventDefinition]:
        """The registered events in the order of their ids."""
        return iter(self._events)

    @property
    def subscriptions(self) -> list[Subscription]:
        """The leases that have not ended, oldest first."""
        self.expire()
        return list(self._leases.values())

    def remaining_s(self, lease: Subscription) -> int:
        """Return the whole seconds that *lease* has left."""
        return lease.remaining_s(self._clock())

    def raise_event(self, name: str, params: Any = None) -> None:
        """Raise an event to whoever subscribed; returns at once, from any thread.

        Raises:
            UnknownEventError: if the event is not registered.
            ParameterError: if the parameters break the declaration or cannot be sent.
        """
        definition = self._events[name]
        if threading.get_ident() != self._thread and self._loop is not None:
            event = definition.snapshot(params, time.monotonic())
            self._loop.call_soon_threadsafe(self._put, definition, event)
            return
        if not definition.subscribers and definition.params is None:
            definition.raised += 1
            return
        self._put(definition, definition.snapshot(params, time.monotonic()))

    def _put(self, definition: EventDefinition, event: Any) -> None:
        definition.raised += 1
        if definition.subscribers:
            self._delivery.put(definition.subscribers, event)

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
        event = definition.snapshot(params, time.monotonic())
        loop = asyncio.get_running_loop()
        waits: list[tuple[str, asyncio.Future[str | None]]] = []
        for subscriber in definition.subscribers:
            future: asyncio.Future[str | None] = loop.create_future()
            if subscriber.waiting is None:
                subscriber.waiting = {}
            subscriber.waiting[id(event)] = future.set_result
            waits.append((subscriber.socket.canonical, future))
        self._put(definition, event)
        if waits:
            await asyncio.wait([future for _, future in waits], timeout=timeout_s)
        for subscriber in definition.subscribers:
            if subscriber.waiting is not None:
                subscriber.waiting.pop(id(event), None)
        return [Outcome(socket, future.result() if future.done() else "pending") for socket, future in waits]

    def subscribe_event(self, name: str, socket: str, expire_s: int = 0) -> Subscription:
        """Subscribe *socket* to an event, or refresh its lease; *expire_s* 0 never ends.

        Raises:
            UnknownEventError: if the event is not registered.
            SocketError: if the scheme is unknown or the text does not fit its grammar.
        """
        if expire_s < 0:
            raise ValueError(f"expire_s: expected 0 or more seconds, got {expire_s!r}")
        definition = self._events[name]
        parsed = self._parse(socket)
        subscriber = self._subscribers.get(parsed.canonical)
        if subscriber is None or subscriber.ended:
            subscriber = self._subscribers[parsed.canonical] = Subscriber(parsed)
        key = (definition.id, parsed.canonical)
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = Subscription(definition, subscriber)
            subscriber.leases += 1
            definition.subscribers = (subscriber, *definition.subscribers)
        if expire_s and parsed.expires:
            lease.expire_s = expire_s
            lease.deadline = self._clock() + expire_s
            self._due_count += 1
            heapq.heappush(self._due, (lease.deadline, self._due_count, lease))
            self._set_timer()
        elif lease.expire_s:
            lease.deadline = self._clock() + lease.expire_s
            self._due_count += 1
            heapq.heappush(self._due, (lease.deadline, self._due_count, lease))
        return lease

    def unsubscribe_event(self, name: str, socket: str) -> bool:
        """End a subscription; return whether there was one."""
        definition = self._events[name]
        lease = self._leases.get((definition.id, self._parse(socket).canonical))
        if lease is None:
            return False
        self._end(lease)
        return True

    def expire(self) -> None:
        """End every lease whose time has come."""
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            _, _, lease = heapq.heappop(self._due)
            current = self._leases.get((lease.event.id, lease.subscriber.socket.canonical))
            if current is lease and lease.deadline <= now:
                self._end(lease)

    def _end(self, lease: Subscription) -> None:
        subscriber = lease.subscriber
        lease.deadline = -math.inf
        del self._leases[lease.event.id, subscriber.socket.canonical]
        lease.event.subscribers = tuple(other for other in lease.event.subscribers if other is not subscriber)
        subscriber.leases -= 1
        if not subscriber.leases:
            self._delivery.end(subscriber)

    def _release(self, subscriber: Subscriber) -> None:
        if self._subscribers.get(subscriber.socket.canonical) is subscriber and subscriber.ended:
            del self._subscribers[subscriber.socket.canonical]
        self._manager.hook.unsubscribed(socket=subscriber.socket)

    def _set_timer(self) -> None:
        if self._loop is None or not self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, self._due[0][0] - self._clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.expire()
        self._set_timer()

    def _parse(self, text: str) -> Socket:
        scheme, rest = split_socket(text)
        try:
            parsed: Socket | None = self._manager.hook.on_subscribe(scheme=scheme, rest=rest)
        except SocketError:
            raise
        except ValueError as error:
            raise SocketError(text, str(error)) from None
        if parsed is None:
            raise SocketError(text, f"no loaded plugin has the scheme {scheme!r}")
        return parsed

    def _deliver(self, socket: Socket, batch: Batch) -> Any:
        return self._manager.hook.deliver(socket=socket, batch=batch)
