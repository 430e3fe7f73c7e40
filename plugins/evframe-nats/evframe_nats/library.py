"""What the transport uses of the modules that import nats-py; it imports this one with its first batch."""

from evframe_nats.publications import Publication
from evframe_nats.server import Server

__all__ = ["Publication", "Server"]
