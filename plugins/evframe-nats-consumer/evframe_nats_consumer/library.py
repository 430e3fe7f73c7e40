"""What a consumer uses of the modules that import nats-py; it imports this one before it connects."""

from evframe_nats_consumer.session import Session

__all__ = ["Session"]
