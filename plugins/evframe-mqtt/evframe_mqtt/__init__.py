"""The MQTT transport of evframe: ``mqtt:`` subscribers, one acknowledged message for each event."""

from evframe_mqtt.address import MqttSocket, parse
from evframe_mqtt.options import LoginOptions, Options
from evframe_mqtt.plugin import MqttTransport

__all__ = ["LoginOptions", "MqttSocket", "MqttTransport", "Options", "parse"]
