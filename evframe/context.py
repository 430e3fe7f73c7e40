"""What a plugin may do with the interface that loaded it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from evframe.declarations import ParameterTypes
    from evframe.events import EventDefinition
    from evframe.interface import EventInterface
    from evframe.management.dispatcher import Dispatcher
    from evframe.members import Address, Member
    from evframe.outcomes import Outcome
    from evframe.status import StatusRegistry
    from evframe.subscribers import Subscription
    from evframe.workers import CallLimit, WorkerGroup


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

    @property
    def status(self) -> StatusRegistry:
        """What each part says of its own health; a plugin has the group of its own name."""
        return self._interface.status

    @property
    def worker_groups(self) -> list[WorkerGroup]:
        """The groups of workers of all plugins."""
        return self._interface.worker_groups

    @property
    def call_limit(self) -> CallLimit:
        """How long a call of code that handles an event may take."""
        return self._interface.call_limit

    def register_event(
        self, name: str, params: ParameterTypes | None = None, *, summary: str = "", enforced: bool = True
    ) -> int:
        """Register an event and return its id; see `EventInterface.register_event`."""
        return self._interface.register_event(name, params, summary=summary, enforced=enforced)

    def subscribe_event(self, name: str, socket: str, expire_s: int = 0) -> None:
        """Subscribe *socket* to an event; see `EventInterface.subscribe_event`."""
        self._interface.subscribe_event(name, socket, expire_s)

    def unsubscribe_event(self, name: str, socket: str) -> bool:
        """End a subscription; return whether there was one."""
        return self._interface.unsubscribe_event(name, socket)

    def remaining_s(self, lease: Subscription) -> int:
        """Return the whole seconds that *lease* has left."""
        return self._interface.remaining_s(lease)

    def raise_event(self, name: str, params: Any = None) -> None:
        """Raise an event; see `EventInterface.raise_event`."""
        self._interface.raise_event(name, params)

    async def raise_event_and_wait(
        self, name: str, params: Any = None, *, timeout_s: float | None = 10.0
    ) -> list[Outcome]:
        """Raise an event and return its outcomes; see `EventInterface.raise_event_and_wait`."""
        return await self._interface.raise_event_and_wait(name, params, timeout_s=timeout_s)

    def has_subscribers(self, name: str) -> bool:
        """Return whether raising *name* would reach anyone."""
        return bool(self._interface.event(name).targets)

    def connection_closed(self, peer: tuple[str, int], local: tuple[str, int], protocol: str) -> None:
        """Tell the other plugins that a connection is closed; see the hook of this name."""
        if self._interface.is_running:
            self._interface.plugins.tell("connection_closed", peer=peer, local=local, protocol=protocol)
