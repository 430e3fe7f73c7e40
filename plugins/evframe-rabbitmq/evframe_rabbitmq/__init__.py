"""The RabbitMQ transport of evframe: ``rabbitmq:`` subscribers, one confirmed message for each event."""

from evframe_rabbitmq.address import RabbitSocket, parse
from evframe_rabbitmq.options import Options
from evframe_rabbitmq.plugin import RabbitmqTransport

__all__ = ["Options", "RabbitSocket", "RabbitmqTransport", "parse"]
