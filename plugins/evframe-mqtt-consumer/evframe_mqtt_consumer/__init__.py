"""Messages of MQTT topics become events, and are acknowledged when those are delivered."""

from evframe_mqtt_consumer.options import ConnectionOptions, Options
from evframe_mqtt_consumer.plugin import MqttConsumer

__all__ = ["ConnectionOptions", "MqttConsumer", "Options"]
