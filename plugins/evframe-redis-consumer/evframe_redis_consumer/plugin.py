"""The plugin: the streams that are consumed, their events, and the command that lists them."""

from __future__ import annotations

from typing import ClassVar

from evframe_ingest import ConsumingPlugin

from evframe import Parameter
from evframe.plugin import PluginContext
from evframe_redis_consumer.consumer import StreamConsumer
from evframe_redis_consumer.options import ConnectionOptions
from evframe_redis_consumer.options import Options as ConsumerOptions


class RedisConsumer(ConsumingPlugin[ConsumerOptions, StreamConsumer]):
    """The plugin object.

    Args:
        options: the table ``[plugins.redis-consumer]``.
    """

    Options = ConsumerOptions
    listing = ("redis_consumer:list", "lists the streams that are consumed")
    parameters: ClassVar = {
        "body": Parameter(
            str, summary="The entry's body, or its fields as JSON; bytes that are not UTF-8 go out as they came in."
        ),
    }

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> StreamConsumer:
        return StreamConsumer(options, context)

    def _summary(self, options: ConnectionOptions) -> str:
        return f"Raised for an entry of the stream {options.stream}."
