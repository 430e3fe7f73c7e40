"""The plugin: the queues that are consumed, their events, and the command that lists them."""

from __future__ import annotations

from typing import ClassVar

from evframe_ingest import ConsumingPlugin

from evframe import Parameter
from evframe.plugin import PluginContext
from evframe_rabbitmq_consumer.consumer import QueueConsumer
from evframe_rabbitmq_consumer.options import ConnectionOptions
from evframe_rabbitmq_consumer.options import Options as ConsumerOptions


class RabbitmqConsumer(ConsumingPlugin[ConsumerOptions, QueueConsumer]):
    """The plugin object.

    Args:
        options: the table ``[plugins.rabbitmq-consumer]``.
    """

    Options = ConsumerOptions
    library_logs = ("aio_pika", "aiormq")
    listing = ("rabbitmq_consumer:list", "lists the queues that are consumed")
    parameters: ClassVar = {
        "body": Parameter(str, summary="The message's body; bytes that are not UTF-8 go out as they came in."),
    }

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> QueueConsumer:
        return QueueConsumer(options, context)

    def _summary(self, options: ConnectionOptions) -> str:
        return f"Raised for a message of the queue {options.queue}."
