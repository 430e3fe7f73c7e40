"""Trace contexts that go with events, and spans of their deliveries, with the API of OpenTelemetry."""

from evframe_tracing.options import Options
from evframe_tracing.plugin import Tracing

__all__ = ["Options", "Tracing"]
