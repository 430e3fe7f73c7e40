"""Transports whose subscribers connect: streams that a browser or a service opens, and that end with the connection."""

from evframe_http import Refused

from evframe_live.access import Access
from evframe_live.connection import Connection
from evframe_live.leases import Leases
from evframe_live.options import LiveOptions
from evframe_live.sockets import LiveSocket
from evframe_live.stream import Stream
from evframe_live.transport import LiveTransport

__all__ = [
    "Access",
    "Connection",
    "Leases",
    "LiveOptions",
    "LiveSocket",
    "LiveTransport",
    "Refused",
    "Stream",
]
