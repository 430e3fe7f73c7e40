"""The current context of OpenTelemetry, as the headers of an event, and headers as the current context."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from evframe_wire.visible import brief
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)

from evframe import Event
from evframe.plugin import LogLimiter
from evframe_tracing.headers import (
    BAGGAGE,
    MOST_STATE,
    PARENT,
    STATE,
    baggage_of,
    is_sampled,
    parent_of,
    state_of,
)

log = logging.getLogger("evframe.tracing")
_NOTHING: Final = nullcontext()
_Known = tuple[SpanContext | None, Mapping[str, str] | None, bool]


class _Within:
    """Runs a block in a context of OpenTelemetry."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = attach(self._context)

    def __exit__(self, *_: object) -> None:
        detach(self._token)


class Contexts:
    """Keeps contexts with events; see `Raising.tracing`.

    Args:
        on_sampled: called when an event of a sampled trace is raised and `is_watched` is not set; on any thread.
    """

    def __init__(self, on_sampled: Callable[[], None]) -> None:
        self._on_sampled = on_sampled
        self._baggage: W3CBaggagePropagator | None = None
        self._last: _Known = None, None, False  # of the last raise: events of one span have the same headers
        self._limiter = LogLimiter()
        self.is_watched = False
        """Whether the batches are observed already."""
        self.has_sampled = False
        """Set when an event of a sampled trace is raised."""
        self.refused = 0
        """How many messages had a context that is none."""
        self.broken = 0
        """How many events go without their context, because the library has raised an error."""

    def configure(self, *, baggage: bool) -> None:
        """Keep baggage, too, or not."""
        self._baggage = W3CBaggagePropagator() if baggage else None

    def keep(self, event: Event) -> Event:
        """Return *event* with the headers of the current context, if there is one."""
        try:
            context = get_current()
            if not context:  # `get_current_span` would take three times as long, and most raises are in no context
                return event
            carried = self._carried(context)
        except Exception as error:  # noqa: BLE001 an event must not be lost because of its context
            self.broken += 1
            self._warn("a context could not be kept with an event", error)
            return event
        return event if carried is None else event.carrying(carried)

    def _carried(self, context: Context) -> Mapping[str, str] | None:
        span_context = get_current_span(context).get_span_context()
        known, carried, sampled = self._last
        if span_context is not known:
            carried = _headers_of(span_context) if span_context.is_valid else None
            sampled = span_context.is_valid and span_context.trace_flags.sampled
            self._last = span_context, carried, sampled
        if sampled:
            self.has_sampled = True
            if not self.is_watched:
                self._on_sampled()
        if self._baggage is not None:
            headers: dict[str, str] = {}
            self._baggage.inject(headers, context)
            kept = baggage_of(headers)  # versions of the library differ in what they escape
            if kept is not None:
                return {**(carried or {}), BAGGAGE: kept}
        return carried

    def within(self, headers: Mapping[str, Any] | None) -> AbstractContextManager[Any]:
        """Return what runs a block in the context that *headers* name, and in none where they name none."""
        context = None
        if headers:
            try:
                context = self.context_of(headers)
            except ValueError as problem:
                self.refused += 1
                self._warn("the trace context of a message was refused", problem)
            except Exception as error:  # noqa: BLE001 as above
                self.broken += 1
                self._warn("the trace context of a message could not be read", error)
        if context is None:
            # A task has the context in which it was started, which may be that of the start of the service.
            return _Within(Context()) if get_current() else _NOTHING
        return _Within(context)

    def context_of(self, headers: Mapping[str, Any]) -> Context | None:
        """Return the context that *headers* name; None for none.

        Raises:
            ValueError: if `traceparent` is none.
        """
        context = None
        parent = parent_of(headers)
        if parent is not None:
            context = set_span_in_context(NonRecordingSpan(span_context_of(parent, state_of(headers))), Context())
        if self._baggage is not None and (baggage := baggage_of(headers)) is not None:
            context = self._baggage.extract({BAGGAGE: baggage}, context or Context())
        return context

    def _warn(self, sentence: str, problem: Exception) -> None:
        repeated = self._limiter.due(sentence)
        if repeated is not None:
            text = str(problem) if isinstance(problem, ValueError) else brief(problem)
            log.warning(sentence, extra={"problem": text, "repeated": repeated})


def span_context_of(parent: str, state: str | None) -> SpanContext:
    """Return the context of a span elsewhere.

    Args:
        parent: a `traceparent` that is one.
        state: a `tracestate` that is one, or None.
    """
    return SpanContext(
        int(parent[3:35], 16),
        int(parent[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent[53:55], 16)),
        trace_state=None if state is None else TraceState.from_header([state]),
    )


def _headers_of(span: SpanContext) -> Mapping[str, str]:
    """Return the headers of a context.

    Raises:
        ValueError: if it is none, as libraries in the place of the SDK may have them.
    """
    parent = f"00-{format_trace_id(span.trace_id)}-{format_span_id(span.span_id)}-{span.trace_flags:02x}"
    state = span.trace_state.to_header() if span.trace_state else ""
    while len(state) > MOST_STATE:  # the last members are the oldest
        state = state.rpartition(",")[0]
    if parent_of({PARENT: parent}) is None or (state and state_of({STATE: state}) != state):
        raise ValueError(f"expected a context of W3C Trace Context, got {brief(span)}")
    return {PARENT: parent, STATE: state} if state else {PARENT: parent}


def sampled(carried: Mapping[str, str] | None) -> bool:
    """Return whether an event with these headers is one of a sampled trace."""
    return carried is not None and PARENT in carried and is_sampled(carried[PARENT])
