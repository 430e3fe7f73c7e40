"""What the consumer uses of the modules that import redis-py; it imports this one when it begins."""

from evframe_redis_clients.connection import problem_of

from evframe_redis_consumer.session import Session

__all__ = ["Session", "problem_of"]
