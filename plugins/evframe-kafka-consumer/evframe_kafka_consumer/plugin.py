"""The plugin: the topics that are consumed, their events, and the command that lists them."""

from __future__ import annotations

import logging
from typing import ClassVar

from evframe_ingest import ConsumingPlugin
from evframe_kafka_clients import secrets
from evframe_kafka_clients.consuming import without_effect

from evframe import Parameter
from evframe.plugin import PluginContext
from evframe_kafka_consumer.consumer import TopicConsumer
from evframe_kafka_consumer.options import ConnectionOptions
from evframe_kafka_consumer.options import Options as ConsumerOptions

log = logging.getLogger("evframe.kafka-consumer")


class KafkaConsumer(ConsumingPlugin[ConsumerOptions, TopicConsumer]):
    """The plugin object.

    Args:
        options: the table ``[plugins.kafka-consumer]``.
    """

    Options = ConsumerOptions
    library_logs = ("aiokafka",)
    listing = ("kafka_consumer:list", "lists the topics that are consumed")
    parameters: ClassVar = {
        "body": Parameter(str, summary="The record's value; bytes that are not UTF-8 go out as they came in."),
        "topic": Parameter(str, summary="The record's topic."),
        "key": Parameter(str, optional=True, summary="The record's key, if it has one."),
    }

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> TopicConsumer:
        secrets.hide()
        names = without_effect(options.properties)
        if names:
            log.warning("properties have no effect", extra={"connection": options.name, "properties": names})
        return TopicConsumer(options, context)

    def _summary(self, options: ConnectionOptions) -> str:
        return f"Raised for a record of the topics {options.name}."
