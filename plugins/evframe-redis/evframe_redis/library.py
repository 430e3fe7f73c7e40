"""What the transport uses of the module that imports redis-py; it imports this one with its first batch."""

from evframe_redis.server import Server

__all__ = ["Server"]
