"""The plugin: routes by name, from the configuration and from decorators."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, TypeVar

import attrs

from evframe import Batch, ConfigError, Socket, hookimpl
from evframe.plugin import CallLimit, EventCollector, Limits, PluginContext, WorkerGroup
from evframe_route.callables import find_callable
from evframe_route.calls import Calls, ContextCalls
from evframe_route.kept import Persistence
from evframe_route.options import Options as RouteOptions
from evframe_route.pool import WorkerPool
from evframe_route.runners import AsyncRunner, InlineRunner, Route, Runner
from evframe_route.threads import ThreadRunner

_Function = TypeVar("_Function", bound=Callable[..., Any])


@attrs.frozen(slots=True)
class RouteSocket:
    """``route:name``."""

    name: str

    @property
    def canonical(self) -> str:
        """The name of the route as it was given."""
        return f"route:{self.name}"

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """A callable connects to no host that is known here."""
        return ()

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True


class RouteTransport:
    """The plugin object."""

    schemes = ("route",)
    places: ClassVar = {"routes": "routes"}
    limits = Limits(batch_events=4096, reads_params=True)  # a batch that is awaited takes two turns of the loop

    def __init__(self, options: RouteOptions | None = None) -> None:
        self._options = RouteOptions() if options is None else options
        self._runners: dict[str, Runner] = {}
        self._pool = WorkerPool(self._options.workers_min, self._options.workers_max)
        self._limit = CallLimit()
        self._context: PluginContext | None = None
        problems = []
        for name, text in self._options.routes.items():
            try:
                self.add(name, find_callable(text))
            except ValueError as error:
                problems.append(f"routes.{name}: {error}")
        if problems:
            raise ConfigError(problems)

    Options = RouteOptions

    def add(self, name: str, route: Route, *, inline: bool | None = None) -> None:
        """Make *route* the callable behind ``route:name``, and subscribe it to the event *name*.

        Args:
            name: the route, and the event it gets; other events can be subscribed to it too.
            route: called with the `evframe.Event`; a coroutine function is awaited.
            inline: whether a plain callable runs in the loop; None for the option.

        Raises:
            ValueError: if there is a route called *name* already.
        """
        if name in self._runners:
            raise ValueError(f"expected a new route, got {name!r} again")
        persistence = Persistence(name, self._options.kept_retry_s)
        if inspect.iscoroutinefunction(route) or inspect.iscoroutinefunction(getattr(route, "__call__", None)):  # noqa: B004 an object whose call is a coroutine function
            self._runners[name] = AsyncRunner(name, route, self._options.timeout_s, persistence)
        elif self._options.inline if inline is None else inline:
            self._runners[name] = InlineRunner(name, route, persistence)
        else:
            timeout_s, pool = self._options.timeout_s, self._pool
            self._runners[name] = ThreadRunner(name, route, timeout_s, pool, persistence=persistence)
        if self._context is not None:
            self._subscribe(self._context, name)

    def route(self, name: str, *, inline: bool | None = None) -> Callable[[_Function], _Function]:
        """Return a decorator that calls `add`."""

        def decorate(function: _Function) -> _Function:
            self.add(name, function, inline=inline)
            return function

        return decorate

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the event of each route."""
        for name in self._runners:
            collector.refer(name, f"routes.{name}")

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Subscribe each route to its event, and keep the limit that calls are measured by."""
        self._limit = context.call_limit
        self._context = context
        for name in self._runners:
            self._subscribe(context, name)

    @hookimpl
    def worker_groups(self) -> Iterable[WorkerGroup]:
        """Report the threads, when there are callables for them."""
        return (self._pool,) if any(isinstance(runner, ThreadRunner) for runner in self._runners.values()) else ()

    @staticmethod
    def _subscribe(context: PluginContext, name: str) -> None:
        context.register_event(name)
        context.subscribe_event(name, f"route:{name}")

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``route:`` sockets."""
        if scheme != "route":
            return None
        if rest not in self._runners:
            known = ", ".join(sorted(self._runners)) or "the table [routes], which is empty"
            raise ValueError(f"expected a route of {known}, got {rest!r}")
        return RouteSocket(rest)

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Call the route for each event."""
        if not isinstance(socket, RouteSocket):
            return None
        context = self._context
        calls: Calls = self._limit
        if context is not None and context.raising.tracing is not None and context.carried_by(batch.events) is not None:
            calls = ContextCalls(self._limit, context.raising.tracing.within)
        return self._runners[socket.name].run(batch, calls)

    @hookimpl
    def stop(self) -> None:
        """End the threads."""
        self._context = None
        self._pool.close()
