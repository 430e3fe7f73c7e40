"""What the transport uses of the modules that import mqtt5; it imports this one with its first batch."""

from evframe_mqtt.link import Server
from evframe_mqtt.publication import Publication

__all__ = ["Publication", "Server"]
