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
    from evframe.members import Address, Member


@attrs.frozen
class PluginContext:
    """Handed to the hooks `loaded` and `start`.

    `management.handle(request)` answers a management request; `spawn(coroutine)` runs a task
    until the interface is left, which cancels it.
    """

    _interface: EventInterface
    management: Dispatcher
    spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]

    def parse_socket(self, text: str) -> Address:
        """Return the address of a socket of any transport; SocketError when it cannot be used."""
        return self._interface.parse_socket(text)

    def open_member(self, address: Address, on_away: Callable[[str], None] | None = None) -> Member:
        """Return a subscriber that the plugin feeds; see `evframe.members.Member`."""
        return self._interface.open_member(address, on_away)

    def close_member(self, member: Member) -> None:
        """Let a member go, once what it has is delivered or its time is over."""
        self._interface.close_member(member)

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
