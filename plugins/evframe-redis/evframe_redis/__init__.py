"""The Redis transport of evframe: ``redis:`` and ``rediss:`` subscribers, an entry of a stream for each event."""

from evframe_redis.address import RedisSocket, parse
from evframe_redis.options import Options
from evframe_redis.plugin import RedisTransport

__all__ = ["Options", "RedisSocket", "RedisTransport", "parse"]
