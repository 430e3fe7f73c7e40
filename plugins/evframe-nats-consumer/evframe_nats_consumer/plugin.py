"""The plugin: the streams that are consumed, their events, and the command that lists them."""

from __future__ import annotations

from evframe_ingest import ConsumingPlugin

from evframe import Parameter, hookimpl
from evframe.plugin import Command, CommandTable, EventCollector, HostAddress, PluginContext
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

    def __init__(self, options: ConsumerOptions | None = None) -> None:
        super().__init__(ConsumerOptions() if options is None else options)

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> StreamConsumer:
        return StreamConsumer(options, context)

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the events of messages that name none."""
        for each in self._options.connections:
            if each.event is not None:
                params = {
                    "body": Parameter(
                        str, summary="The message's body; bytes that are not UTF-8 go out as they came in."
                    ),
                    "subject": Parameter(str, summary="The subject that the message was published to."),
                }
                collector.add(each.event, params, summary=f"Raised for a message of {each.name}.")

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the command that lists the streams."""
        commands.add(Command("nats_consumer:list", ((),), self._list, "lists the streams that are consumed"))

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Connect again to servers that have moved."""
        for consumer in self.consumers.values():
            consumer.moved(host, addresses)
