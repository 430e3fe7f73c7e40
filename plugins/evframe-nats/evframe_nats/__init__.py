"""The NATS transport of evframe: ``nats:`` subscribers, messages that a JetStream has acknowledged."""

from evframe_nats.address import NatsSocket, parse
from evframe_nats.options import Options, ServerOptions
from evframe_nats.plugin import NatsTransport

__all__ = ["NatsSocket", "NatsTransport", "Options", "ServerOptions", "parse"]
