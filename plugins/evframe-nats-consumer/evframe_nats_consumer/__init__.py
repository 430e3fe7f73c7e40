"""Messages of NATS streams become events, and are acknowledged when those are delivered."""

from evframe_nats_consumer.options import ConnectionOptions, Options
from evframe_nats_consumer.plugin import NatsConsumer

__all__ = ["ConnectionOptions", "NatsConsumer", "Options"]
