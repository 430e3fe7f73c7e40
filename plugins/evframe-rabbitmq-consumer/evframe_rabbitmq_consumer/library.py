"""What a consumer uses of the modules that import aio-pika; it imports this one before it connects."""

from evframe_rabbitmq_consumer.channel import CANCELLED, MOVED, reason_of
from evframe_rabbitmq_consumer.session import Session

__all__ = ["CANCELLED", "MOVED", "Session", "reason_of"]
