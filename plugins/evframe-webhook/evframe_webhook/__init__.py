"""The webhook transport of evframe: ``http:`` and ``https:`` subscribers, a signed request for each event."""

from evframe_webhook.address import WebhookSocket, parse
from evframe_webhook.options import Options, TargetOptions
from evframe_webhook.plugin import WebhookTransport

__all__ = ["Options", "TargetOptions", "WebhookSocket", "WebhookTransport", "parse"]
