"""Clients of the management interface, for threads and for event loops, over each of its transports."""

from evframe_client.clients import AsyncClient, Client
from evframe_client.protocol import ManagementError
from evframe_client.subscriptions import AsyncSubscription, ReceivedEvent, Subscription
from evframe_client.urls import DEFAULT_URL, parse_url, url_of

__all__ = [
    "DEFAULT_URL",
    "AsyncClient",
    "AsyncSubscription",
    "Client",
    "ManagementError",
    "ReceivedEvent",
    "Subscription",
    "parse_url",
    "url_of",
]
