"""What the transport uses of the modules that import aio-pika; it imports this one with its first batch."""

from evframe_rabbitmq.broker import Broker
from evframe_rabbitmq.channel import Publication
from evframe_rabbitmq.cloud_events import make_cloud_events
from evframe_rabbitmq.lane import Lane

__all__ = ["Broker", "Lane", "Publication", "make_cloud_events"]
