"""The plugin: the queues that are consumed, their events, and the command that lists them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from evframe import Parameter, hookimpl
from evframe.plugin import Command, CommandTable, EventCollector, HostAddress, PluginContext, unfilled
from evframe_rabbitmq_consumer.consumer import QueueConsumer
from evframe_rabbitmq_consumer.options import Options as ConsumerOptions


class RabbitmqConsumer:
    """The plugin object.

    Args:
        options: the table ``[plugins.rabbitmq-consumer]``.
    """

    Options = ConsumerOptions
    library_logs = ("aio_pika", "aiormq")

    def __init__(self, options: ConsumerOptions | None = None) -> None:
        self._options = ConsumerOptions() if options is None else options
        self.consumers: dict[str, QueueConsumer] = {}
        """Who consumes the queues, by the names of their connections."""

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the events of messages that name none."""
        for each in self._options.connections:
            if each.event is not None:
                body = Parameter(str, summary="The message's body; bytes that are not UTF-8 go out as they came in.")
                collector.add(each.event, {"body": body}, summary=f"Raised for a message of the queue {each.queue}.")

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the command that lists the queues."""
        commands.add(Command("rabbitmq_consumer:list", ((),), self._list, "lists the queues that are consumed"))

    def _list(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"Connections": [consumer.listed() for consumer in self.consumers.values()]}

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Make the consumers, which say that they are not consuming yet."""
        self.consumers = {each.name: QueueConsumer(each, context) for each in self._options.connections}

    @hookimpl
    def reconfigure(self, options: ConsumerOptions) -> None:
        """Take other values of references in secrets, which the next login uses.

        Raises:
            ValueError: if anything else has changed, which changes with a restart.
        """
        if unfilled(options) != unfilled(self._options) or options.endpoints != self._options.endpoints:
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
        """Acknowledge what is delivered by now, and end the connections."""
        return asyncio.gather(*(consumer.stop() for consumer in self.consumers.values()))
