"""What the plugins that consume have in common: one consumer for each connection, as long as the interface works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from evframe import hookimpl
from evframe.plugin import PluginContext, unfilled


class Connection(Protocol):
    """The options of a connection."""

    @property
    def name(self) -> str:
        """What listings, statuses and the log call it."""

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports of its brokers."""


class Connections(Protocol):
    """The options of a plugin."""

    @property
    def connections(self) -> Sequence[Any]:
        """Each is a `Connection`."""


class Consumer(Protocol):
    """Consumes one connection."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Consume until this is cancelled."""

    def adopt(self, options: Any) -> None:
        """Use the secrets of *options* for the next login."""

    async def stop(self) -> None:
        """Answer what has its outcome by now, and end the connection."""

    def listed(self) -> dict[str, Any]:
        """Return the state and the counters, for people and programs."""


OptionsT = TypeVar("OptionsT", bound=Connections)
ConsumerT = TypeVar("ConsumerT", bound=Consumer)


class ConsumingPlugin(Generic[OptionsT, ConsumerT]):
    """The base of a plugin object.

    Args:
        options: of the plugin.
    """

    def __init__(self, options: OptionsT) -> None:
        self._options = options
        self.consumers: dict[str, ConsumerT] = {}
        """What consumes, by the names of the connections."""

    def _consumer(self, options: Any, context: PluginContext) -> ConsumerT:
        """Return what consumes the connection with *options*."""
        raise NotImplementedError

    def _list(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the command that lists the connections."""
        return {"Connections": [consumer.listed() for consumer in self.consumers.values()]}

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Make the consumers, whose statuses say that they are not consuming yet."""
        self.consumers = {each.name: self._consumer(each, context) for each in self._options.connections}

    @hookimpl
    def reconfigure(self, options: OptionsT) -> None:
        """Take other values of references in secrets, which the next login uses.

        Raises:
            ValueError: if anything else has changed, which changes with a restart.
        """
        if unfilled(options) != unfilled(self._options) or _endpoints(options) != _endpoints(self._options):
            raise ValueError("expected the same options as before, they change with a restart")
        self._options = options
        for each in options.connections:
            self.consumers[each.name].adopt(each)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin to consume."""
        for consumer in self.consumers.values():
            context.spawn(consumer.run())

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Answer what is delivered by now, and end the connections."""
        return asyncio.gather(*(consumer.stop() for consumer in self.consumers.values()))


def _endpoints(options: Connections) -> list[tuple[tuple[str, int], ...]]:
    """Return the brokers: a reference that a connection's address has may name another one with its other value."""
    return [each.endpoints for each in options.connections]
