"""What the plugin uses of the modules that import mqtt5; it imports this one with its first connection."""

from evframe_mqtt_consumer.session import Session

__all__ = ["Session"]
