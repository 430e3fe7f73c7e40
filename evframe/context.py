"""What a plugin may do with the interface that loaded it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from evframe.events import EventDefinition
    from evframe.interface import EventInterface
    from evframe.management.dispatcher import Dispatcher


@attrs.frozen
class PluginContext:
    """Handed to the `start` hook.

    `management.handle(request)` answers a management request; `spawn(coroutine)` runs a task
    until the interface is left, which cancels it.
    """

    _interface: EventInterface
    management: Dispatcher
    spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]

    @property
    def events(self) -> Iterator[EventDefinition]:
        """The registered events."""
        return self._interface.events

    def register_event(self, name: str) -> int:
        """Register an event and return its id."""
        return self._interface.register_event(name)

    def subscribe_event(self, name: str, socket: str, expire_s: int = 0) -> None:
        """Subscribe *socket* to an event; see `EventInterface.subscribe_event`."""
        self._interface.subscribe_event(name, socket, expire_s)

    def raise_event(self, name: str, params: Any = None) -> None:
        """Raise an event; see `EventInterface.raise_event`."""
        self._interface.raise_event(name, params)

    def has_subscribers(self, name: str) -> bool:
        """Return whether raising *name* would reach anyone."""
        return bool(self._interface.event(name).targets)
