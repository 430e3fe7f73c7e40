"""The plugin: the streams that are consumed, their events, and the command that lists them."""

from __future__ import annotations

from evframe_ingest import ConsumingPlugin

from evframe import Parameter, hookimpl
from evframe.plugin import Command, CommandTable, EventCollector, HostAddress, PluginContext
from evframe_redis_consumer.consumer import StreamConsumer
from evframe_redis_consumer.options import ConnectionOptions
from evframe_redis_consumer.options import Options as ConsumerOptions


class RedisConsumer(ConsumingPlugin[ConsumerOptions, StreamConsumer]):
    """The plugin object.

    Args:
        options: the table ``[plugins.redis-consumer]``.
    """

    Options = ConsumerOptions

    def __init__(self, options: ConsumerOptions | None = None) -> None:
        super().__init__(ConsumerOptions() if options is None else options)

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> StreamConsumer:
        return StreamConsumer(options, context)

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the events of entries that name none."""
        for each in self._options.connections:
            if each.event is not None:
                summary = "The entry's body, or its fields as JSON; bytes that are not UTF-8 go out as they came in."
                body = {"body": Parameter(str, summary=summary)}
                collector.add(each.event, body, summary=f"Raised for an entry of the stream {each.stream}.")

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the command that lists the streams."""
        commands.add(Command("redis_consumer:list", ((),), self._list, "lists the streams that are consumed"))

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Connect again to servers that have moved."""
        for consumer in self.consumers.values():
            consumer.moved(host, addresses)
