"""Messages of RabbitMQ queues become events, and are acknowledged when those are delivered."""

from evframe_rabbitmq_consumer.options import ConnectionOptions, Options
from evframe_rabbitmq_consumer.plugin import RabbitmqConsumer

__all__ = ["ConnectionOptions", "Options", "RabbitmqConsumer"]
