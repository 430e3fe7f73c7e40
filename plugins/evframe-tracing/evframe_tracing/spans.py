"""Spans of batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from evframe import Unavailable
from evframe.plugin import LogLimiter, endpoints_of, shown_socket
from evframe_tracing.contexts import sampled, span_context_of
from evframe_tracing.headers import PARENT, STATE
from evframe_tracing.names import BATCH_SIZE, DESTINATION, ERROR_TYPE, FAILED, HOST, LEFT_OUT, PORT, SYSTEM, role_of

if TYPE_CHECKING:
    from evframe import Batch, Socket

log = logging.getLogger("evframe.tracing")
_KINDS: Final = {"client": SpanKind.CLIENT, "consumer": SpanKind.CONSUMER, "internal": SpanKind.INTERNAL}


class BatchSpans:
    """Makes a span of each batch that has an event of a sampled trace.

    Args:
        tracer: makes the spans.
        max_links: how many contexts a span is linked to.
    """

    def __init__(self, tracer: Tracer, max_links: int) -> None:
        self._tracer = tracer
        self.max_links = max_links
        self._limiter = LogLimiter()
        self.made = 0
        """How many batches had a span."""
        self.left_out = 0
        """How many links were left out."""
        self.broken = 0
        """How many batches have no span, because the library has raised an error."""

    def observe(self, socket: Socket, batch: Batch, error: BaseException | None, seconds: float) -> None:
        """Take a batch that is over, or comes back."""
        try:
            found = {carried[PARENT]: carried for each in batch.events if sampled(carried := each.carried) and carried}
            if found:
                self._make(socket, batch, error, seconds, found)
        except Exception as problem:
            self.broken += 1
            repeated = self._limiter.due("broken")
            if repeated is not None:
                log.warning("a span could not be made", extra={"repeated": repeated}, exc_info=problem)

    def _make(
        self,
        socket: Socket,
        batch: Batch,
        error: BaseException | None,
        seconds: float,
        found: Mapping[str, Mapping[str, str]],
    ) -> None:
        chosen = islice(found.items(), max(1, self.max_links))
        contexts = [span_context_of(parent, carried.get(STATE)) for parent, carried in chosen]
        scheme = socket.canonical.partition(":")[0]
        role = role_of(scheme)
        attributes: dict[str, Any] = {
            SYSTEM: scheme,
            DESTINATION: shown_socket(socket),
            BATCH_SIZE: len(batch.events),
            **role.attributes,
        }
        for host, port in endpoints_of(socket)[:1]:
            attributes |= {HOST: host, PORT: port}
        left_out = max(0, len(found) - self.max_links)
        if left_out:
            attributes[LEFT_OUT] = left_out
        reason = _reason_of(batch, error)
        if reason is not None:
            attributes |= {ERROR_TYPE: reason, FAILED: _failed(batch, error)}
        end = time.time_ns()
        span = self._tracer.start_span(
            f"{role.operation} {scheme}",
            # The first one is the parent, so that the span is sampled as the trace is.
            set_span_in_context(NonRecordingSpan(contexts[0]), Context()),
            _KINDS[role.kind],
            attributes,
            [Link(each) for each in contexts[: self.max_links]],
            end - int(seconds * 1e9),
        )
        if reason is not None:
            span.set_status(Status(StatusCode.ERROR, reason))
        span.end(end)
        self.made += 1
        self.left_out += left_out


def _failed(batch: Batch, error: BaseException | None) -> int:
    """Return how many events have failed for good; those of a peer that cannot be reached come back."""
    if error is None or isinstance(error, Unavailable):
        return len(batch.failures)
    done = getattr(error, "done", 0)
    rest = sum(each not in batch.failures and each not in batch.confirmed for each in range(done, len(batch.events)))
    return len(batch.failures) + rest


def _reason_of(batch: Batch, error: BaseException | None) -> str | None:
    """Return why events of a batch failed or come back; None when all are delivered."""
    if error is not None:
        return str(getattr(error, "reason", type(error).__name__))
    return next(iter(batch.failures.values()), None)
