"""The plugin: the streams that are consumed, their events, and the command that lists them."""

from __future__ import annotations

from typing import ClassVar

from evframe_ingest import ConsumingPlugin

from evframe import Parameter
from evframe.plugin import PluginContext
from evframe_nats_consumer.consumer import StreamConsumer
from evframe_nats_consumer.options import ConnectionOptions
from evframe_nats_consumer.options import Options as ConsumerOptions


class NatsConsumer(ConsumingPlugin[ConsumerOptions, StreamConsumer]):
    """The plugin object.

    Args:
        options: the table ``[plugins.nats-consumer]``.
    """

    Options = ConsumerOptions
    library_logs = ("nats",)
    listing = ("nats_consumer:list", "lists the streams that are consumed")
    parameters: ClassVar = {
        "body": Parameter(str, summary="The message's body; bytes that are not UTF-8 go out as they came in."),
        "subject": Parameter(str, summary="The subject that the message was published to."),
    }

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> StreamConsumer:
        return StreamConsumer(options, context)

    def _summary(self, options: ConnectionOptions) -> str:
        return f"Raised for a message of {options.name}."
