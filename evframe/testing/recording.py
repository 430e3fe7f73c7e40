"""What was raised: a subscriber in memory of everything."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Self

from evframe_wire.listing import Listing

from evframe.events.event import Event
from evframe.interface import EventInterface
from evframe.testing.transports import MemoryTransport

_LIMIT_S: Final = 10.0


class Recorder:
    """An interface with plugins under test, and what they raise.

    ::

        async with Recorder({"pike": Pike(options)}) as recorder:
            recorder.plugin("pike").check("192.0.2.1")
            assert await recorder.events() == [("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})]

    Args:
        plugins: the plugin objects, each by its name.
        options: more for `EventInterface`.
    """

    def __init__(self, plugins: dict[str, Any], **options: Any) -> None:
        self._memory = MemoryTransport()
        self.interface = EventInterface(plugins={"memory": self._memory, **plugins}, **options)
        self._seen = 0
        for definition in list(self.interface.events):
            self._subscribe(definition.name)

    def _subscribe(self, name: str) -> None:
        self.interface.subscribe_event(name, "memory:recorder")

    def plugin(self, name: str) -> Any:
        """Return the plugin object called *name*."""
        return self.interface.plugin(name)

    def register_event(self, name: str) -> None:
        """Register an event that no plugin declares, and record it too."""
        self.interface.register_event(name)
        self._subscribe(name)

    async def raised(self) -> list[Event]:
        """Return the events since the last call, in the order of their raises."""
        async with asyncio.timeout(_LIMIT_S):
            while any(lease.subscriber.depth for lease in self.interface.subscriptions):  # noqa: ASYNC110 as `until`
                await asyncio.sleep(0)
        all_of_them = self._memory.delivered.get("recorder", [])
        new, self._seen = all_of_them[self._seen :], len(all_of_them)
        return new

    async def events(self) -> list[tuple[str, Any]]:
        """Return name and parameters of the events since the last call."""
        return [(event.name, event.params) for event in await self.raised()]

    async def wait_for(self, count: int, timeout_s: float = _LIMIT_S) -> list[tuple[str, Any]]:
        """Return name and parameters of the next *count* events, as soon as they are raised.

        Raises:
            TimeoutError: if they are not within *timeout_s* seconds.
        """
        found: list[tuple[str, Any]] = []
        async with asyncio.timeout(timeout_s):
            while len(found) < count:
                found += await self.events()
                await asyncio.sleep(0.001)
        return found

    def command(self, method: str, **params: Any) -> Any:
        """Return the result of a management command; `CommandError` with its code and text when it is refused."""
        command = self.interface.commands.find(method)
        interface = ("",) if command.needs_interface else ()
        return _plain(command.run(params, *interface))

    async def __aenter__(self) -> Self:
        await self.interface.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.interface.__aexit__(None, None, None)


def _plain(value: Any) -> Any:
    """Return *value* with lists for its listings."""
    if type(value) is Listing:
        return [_plain(item) for items in value.slices() for item in items]
    if type(value) is dict:
        return {name: _plain(member) for name, member in value.items()}
    return [*map(_plain, value)] if type(value) is list else value
