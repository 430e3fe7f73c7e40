"""The plugin: the sessions that are consumed, their events, and the command that lists them."""

from __future__ import annotations

from typing import ClassVar

from evframe_ingest import ConsumingPlugin

from evframe import Parameter
from evframe.plugin import PluginContext
from evframe_mqtt_consumer.consumer import FilterConsumer
from evframe_mqtt_consumer.options import ConnectionOptions
from evframe_mqtt_consumer.options import Options as ConsumerOptions


class MqttConsumer(ConsumingPlugin[ConsumerOptions, FilterConsumer]):
    """The plugin object.

    Args:
        options: the table ``[plugins.mqtt-consumer]``.
    """

    Options = ConsumerOptions
    listing = ("mqtt_consumer:list", "lists the MQTT sessions that are consumed")
    parameters: ClassVar = {
        "body": Parameter(str, summary="The message's body; bytes that are not UTF-8 stay as they are."),
        "topic": Parameter(str, summary="The topic of the message."),
    }

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> FilterConsumer:
        return FilterConsumer(options, context)

    def _summary(self, options: ConnectionOptions) -> str:
        return f"Raised for a message of {', '.join(options.filters)}."
