"""Entries of Redis streams become events, and are acknowledged when those are delivered."""

from evframe_redis_consumer.options import ConnectionOptions, Options
from evframe_redis_consumer.plugin import RedisConsumer

__all__ = ["ConnectionOptions", "Options", "RedisConsumer"]
