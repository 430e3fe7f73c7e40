"""Clients of the management interface, for threads and for event loops, over each of its transports."""

from evframe.client.clients import AsyncClient, Client
from evframe.client.protocol import ManagementError
from evframe.client.subscriptions import AsyncSubscription, ReceivedEvent, Subscription
from evframe.client.urls import DEFAULT_URL, parse_url, url_of

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
