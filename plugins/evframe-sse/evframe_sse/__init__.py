"""The transport ``sse:``: clients subscribe by opening a stream of server-sent events."""

from evframe_sse.options import Options
from evframe_sse.plugin import EventSourceTransport

__all__ = ["EventSourceTransport", "Options"]
