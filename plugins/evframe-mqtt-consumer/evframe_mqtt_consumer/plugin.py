"""The plugin: the sessions that are consumed, their events, and the command that lists them."""

from __future__ import annotations

from evframe_ingest import ConsumingPlugin

from evframe import Parameter, hookimpl
from evframe.plugin import Command, CommandTable, EventCollector, HostAddress, PluginContext
from evframe_mqtt_consumer.consumer import SessionConsumer
from evframe_mqtt_consumer.options import ConnectionOptions
from evframe_mqtt_consumer.options import Options as ConsumerOptions


class MqttConsumer(ConsumingPlugin[ConsumerOptions, SessionConsumer]):
    """The plugin object.

    Args:
        options: the table ``[plugins.mqtt-consumer]``.
    """

    Options = ConsumerOptions

    def __init__(self, options: ConsumerOptions | None = None) -> None:
        super().__init__(ConsumerOptions() if options is None else options)

    def _consumer(self, options: ConnectionOptions, context: PluginContext) -> SessionConsumer:
        return SessionConsumer(options, context)

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the events of messages that name none."""
        for each in self._options.connections:
            if each.event is not None:
                params = {
                    "body": Parameter(str, summary="The message's body; bytes that are not UTF-8 stay as they are."),
                    "topic": Parameter(str, summary="The topic of the message."),
                }
                collector.add(each.event, params, summary=f"Raised for a message of {', '.join(each.filters)}.")

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the command that lists the sessions."""
        commands.add(Command("mqtt_consumer:list", ((),), self._list, "lists the MQTT sessions that are consumed"))

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Connect again to servers that have moved."""
        for consumer in self.consumers.values():
            consumer.moved(host, addresses)
