"""The plugin: the topics that are consumed, their events, and the command that lists them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from evframe_kafka_clients import secrets

from evframe import Parameter, hookimpl
from evframe.plugin import Command, CommandTable, EventCollector, PluginContext, unfilled
from evframe_kafka_consumer.consumer import TopicConsumer
from evframe_kafka_consumer.options import Options as ConsumerOptions
from evframe_kafka_consumer.properties import without_effect

log = logging.getLogger("evframe.kafka-consumer")
PARAMETERS: Final = {
    "body": Parameter(str, summary="The record's value; bytes that are not UTF-8 go out as they came in."),
    "topic": Parameter(str, summary="The record's topic."),
    "key": Parameter(str, optional=True, summary="The record's key, if it has one."),
}


class KafkaConsumer:
    """The plugin object.

    Args:
        options: the table ``[plugins.kafka-consumer]``.
    """

    Options = ConsumerOptions
    library_logs = ("aiokafka",)

    def __init__(self, options: ConsumerOptions | None = None) -> None:
        self._options = ConsumerOptions() if options is None else options
        self.consumers: dict[str, TopicConsumer] = {}
        """Who consumes the topics, by the names of their connections."""

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the events of records that name none."""
        for each in self._options.connections:
            if each.event is not None:
                collector.add(each.event, PARAMETERS, summary=f"Raised for a record of the topics {each.name}.")

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the command that lists the topics."""
        commands.add(Command("kafka_consumer:list", ((),), self._list, "lists the topics that are consumed"))

    def _list(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"Connections": [consumer.listed() for consumer in self.consumers.values()]}

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Make the consumers, which say that they are not consuming yet."""
        secrets.hide()
        self.consumers = {each.name: TopicConsumer(each, context) for each in self._options.connections}
        for each in self._options.connections:
            names = without_effect(each.properties)
            if names:
                log.warning("properties have no effect", extra={"connection": each.name, "properties": names})

    @hookimpl
    def reconfigure(self, options: ConsumerOptions) -> None:
        """Take other values of references in secrets, which the next login uses.

        Raises:
            ValueError: if anything else has changed, which changes with a restart.
        """
        if unfilled(options) != unfilled(self._options):
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
    def addresses_changed(self, host: str) -> None:
        """Join the groups of clusters again whose brokers to begin with have moved."""
        for consumer in self.consumers.values():
            consumer.moved(host)

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Commit what is delivered by now, and leave the groups."""
        return asyncio.gather(*(consumer.stop() for consumer in self.consumers.values()))
