"""What the plugins with a management interface have in common: one listener, which a reload may exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from evframe import hookimpl
from evframe.plugin import CommandTable, EventCollector, PluginContext, StatisticGroup
from evframe_mi.dispatcher import Dispatcher
from evframe_mi.options import NarrowingOptions
from evframe_mi.plugin import dispatcher_of, refer_events
from evframe_mi.traffic import Traffic


class Listener(Protocol):
    """A bound address, or a FIFO, that requests come to."""

    def is_at(self, options: Any) -> bool:
        """Return whether *options* name the place where it is, so that nothing has to be bound for them."""

    def adopt(self, options: Any) -> None:
        """Continue at the same place with other options.

        Raises:
            OSError: if the place cannot be given to those who may use it now.
        """

    def leave(self) -> None:
        """Close, once what has come there already is served."""

    def close(self) -> None:
        """Close at once; more than once does no harm."""


OptionsT = TypeVar("OptionsT", bound=NarrowingOptions)
ListenerT = TypeVar("ListenerT", bound=Listener)


class ManagementServer(Generic[OptionsT, ListenerT]):
    """The base of a plugin object.

    Args:
        options: of the plugin; their class is based on `NarrowingOptions`, the keys that narrow the policy.
        traffic: counts and warns.
    """

    kind = "management"

    def __init__(self, options: OptionsT, traffic: Traffic) -> None:
        self._options = options
        self._traffic = traffic
        self._started: tuple[PluginContext, Dispatcher] | None = None
        self._listener: ListenerT | None = None

    @property
    def _context(self) -> PluginContext:
        assert self._started is not None
        return self._started[0]

    @property
    def _dispatcher(self) -> Dispatcher:
        assert self._started is not None
        return self._started[1]

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Refer to the events that clients of this interface may raise."""
        refer_events(collector, self._options.raise_events or (), "raise_events")

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Count the requests and their outcomes."""
        return [self._traffic.statistics]

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the command that shows the counters."""
        commands.add(self._traffic.command)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that a place in use is an error of the start."""
        self._started = context, dispatcher_of(context)
        self._listener = self._listen(self._options, None)

    def _listen(self, options: OptionsT, before: ListenerT | None) -> ListenerT | None:
        """Return a listener that has begun, which takes the place of *before*; None where *options* name no place.

        Raises:
            OSError: if the place cannot be used.
        """
        raise NotImplementedError

    @hookimpl
    def reconfigure(self, options: OptionsT) -> Callable[[], None]:
        """Take other options; another place is bound before the present one is closed.

        Raises:
            OSError: if the place cannot be used.
        """
        before = self._options
        move_back = self._move(options)
        self._options = options

        def take_back() -> None:
            self._options = before
            move_back()

        return take_back

    def _move(self, options: OptionsT) -> Callable[[], None]:
        """Listen as *options* say; return what undoes it before the next turn of the loop."""
        old, old_options = self._listener, self._options
        if self._started is None:
            return lambda: None
        if old is not None and old.is_at(options):
            old.adopt(options)
            return lambda: old.adopt(old_options)
        new = self._listener = self._listen(options, old)
        leaving = None if old is None else asyncio.get_running_loop().call_soon(self._leave, old)

        def undo() -> None:
            self._listener = old
            if leaving is not None:
                leaving.cancel()
            if new is not None:
                new.close()

        return undo

    def _leave(self, old: ListenerT) -> None:
        """Close the listener *old* after a reload."""
        old.leave()

    @hookimpl
    def stop(self) -> None:
        """Close the listener."""
        if self._listener is not None:
            self._listener.close()
