"""What the plugins that consume have in common: one consumer for each connection, as long as the interface works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from evframe import Parameter, hookimpl
from evframe.plugin import Command, CommandTable, EventCollector, HostAddress, PluginContext, unfilled


class Connections(Protocol):
    """The options of a plugin."""

    @property
    def connections(self) -> Sequence[Any]:
        """Each is a `evframe_ingest.connecting.Connection`."""


class Consumer(Protocol):
    """Consumes one connection."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Consume until this is cancelled."""

    def adopt(self, options: Any) -> None:
        """Use the secrets of *options* for the next login."""

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Connect again when *host* is the broker's, and the connection is to an address that it has no more."""

    async def stop(self) -> None:
        """Answer what has its outcome by now, and end the connection."""

    def listed(self) -> dict[str, Any]:
        """Return the state and the counters, for people and programs."""


OptionsT = TypeVar("OptionsT", bound=Connections)
ConsumerT = TypeVar("ConsumerT", bound=Consumer)


class ConsumingPlugin(Generic[OptionsT, ConsumerT]):
    """The base of a plugin object.

    Args:
        options: the table of the plugin; None for its defaults.
    """

    Options: ClassVar[type[Any]]
    parameters: ClassVar[Mapping[str, Parameter]]
    """Those of the events of messages that name none."""
    listing: ClassVar[tuple[str, str]]
    """The command that lists the connections, and what it does."""

    def __init__(self, options: OptionsT | None = None) -> None:
        self._options: OptionsT = self.Options() if options is None else options
        self.consumers: dict[str, ConsumerT] = {}
        """What consumes, by the names of the connections."""

    def _consumer(self, options: Any, context: PluginContext) -> ConsumerT:
        """Return what consumes the connection with *options*."""
        raise NotImplementedError

    def _summary(self, options: Any) -> str:
        """Return when the event of the connection with *options* is raised."""
        raise NotImplementedError

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the events of messages that name none."""
        for each in self._options.connections:
            if each.event is not None:
                collector.add(each.event, self.parameters, summary=self._summary(each))

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the command that lists the connections."""
        name, summary = self.listing
        commands.add(Command(name, ((),), self._list, summary))

    def _list(self, _: Mapping[str, Any]) -> dict[str, Any]:
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
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Connect again to brokers that have moved."""
        for consumer in self.consumers.values():
            consumer.moved(host, addresses)

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Answer what is delivered by now, and end the connections."""
        return asyncio.gather(*(consumer.stop() for consumer in self.consumers.values()))


def _endpoints(options: Connections) -> list[tuple[tuple[str, int], ...]]:
    """Return the brokers: a reference that a connection's address has may name another one with its other value."""
    return [each.endpoints for each in options.connections]
