"""The part of the plugin that needs the library, which the plugin imports when it starts."""

from __future__ import annotations

from opentelemetry.trace import Tracer, TracerProvider, get_tracer

from evframe_tracing.contexts import Contexts
from evframe_tracing.spans import BatchSpans

__all__ = ["BatchSpans", "Contexts", "tracer_of"]


def tracer_of(provider: TracerProvider | None) -> Tracer:
    """Return the tracer of *provider*; None for the provider that OpenTelemetry has when a span is made."""
    return get_tracer("evframe", tracer_provider=provider)
