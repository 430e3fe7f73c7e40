"""Connections of subscribers to their servers, which transports share: made when needed, exchanged, and ended."""

from evframe_connections.links import Link, Server
from evframe_connections.publications import Publication
from evframe_connections.publishing import PublishingLink, PublishingTransport
from evframe_connections.transports import ConnectingTransport

__all__ = [
    "ConnectingTransport",
    "Link",
    "Publication",
    "PublishingLink",
    "PublishingTransport",
    "Server",
]
