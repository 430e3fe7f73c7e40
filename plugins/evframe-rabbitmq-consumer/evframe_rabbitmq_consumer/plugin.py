"""The plugin: the queues that are consumed, their events, and the command that lists them."""

from __future__ import annotations

from evframe_ingest import ConsumingPlugin

from evframe import Parameter, hookimpl
from evframe.plugin import Command, CommandTable, EventCollector, HostAddress, PluginContext
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

    def __init__(self, options: ConsumerOptions | None = None) -> None:
        super().__init__(ConsumerOptions() if options is None else options)

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> QueueConsumer:
        return QueueConsumer(options, context)

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

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Connect again to brokers that have moved."""
        for consumer in self.consumers.values():
            consumer.moved(host, addresses)
