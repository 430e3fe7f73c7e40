"""The plugin: the topics that are consumed, their events, and the command that lists them."""

from __future__ import annotations

import logging
from typing import Final

from evframe_ingest import ConsumingPlugin
from evframe_kafka_clients import secrets

from evframe import Parameter, hookimpl
from evframe.plugin import Command, CommandTable, EventCollector, PluginContext
from evframe_kafka_consumer.consumer import TopicConsumer
from evframe_kafka_consumer.options import ConnectionOptions
from evframe_kafka_consumer.options import Options as ConsumerOptions
from evframe_kafka_consumer.properties import without_effect

log = logging.getLogger("evframe.kafka-consumer")
PARAMETERS: Final = {
    "body": Parameter(str, summary="The record's value; bytes that are not UTF-8 go out as they came in."),
    "topic": Parameter(str, summary="The record's topic."),
    "key": Parameter(str, optional=True, summary="The record's key, if it has one."),
}


class KafkaConsumer(ConsumingPlugin[ConsumerOptions, TopicConsumer]):
    """The plugin object.

    Args:
        options: the table ``[plugins.kafka-consumer]``.
    """

    Options = ConsumerOptions
    library_logs = ("aiokafka",)

    def __init__(self, options: ConsumerOptions | None = None) -> None:
        super().__init__(ConsumerOptions() if options is None else options)

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

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> TopicConsumer:
        secrets.hide()
        names = without_effect(options.properties)
        if names:
            log.warning("properties have no effect", extra={"connection": options.name, "properties": names})
        return TopicConsumer(options, context)

    @hookimpl
    def addresses_changed(self, host: str) -> None:
        """Join the groups of clusters again whose brokers to begin with have moved."""
        for consumer in self.consumers.values():
            consumer.moved(host)
