"""The plugin: contexts with events, and spans of batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from evframe import hookimpl
from evframe.plugin import PluginContext, StatisticGroup
from evframe_tracing.options import Options as TracingOptions

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from evframe_tracing.library import BatchSpans, Contexts

_LOOK_S: Final = 10.0


class Tracing:
    """The plugin object.

    Args:
        options: the table ``[plugins.tracing]``.
        provider: makes the spans; None for the provider that OpenTelemetry has when a span is made.
        sleep: waits so many seconds.
    """

    kind = "exporter"
    Options = TracingOptions

    def __init__(
        self,
        options: TracingOptions | None = None,
        *,
        provider: TracerProvider | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = TracingOptions() if options is None else options
        self._provider = provider
        self._sleep = sleep
        self._context: PluginContext | None = None
        self._contexts: Contexts | None = None
        self._spans: BatchSpans | None = None
        self._end_observing: Callable[[], None] | None = None
        self._lock = threading.RLock()  # of its thread, too: the collector of unused objects may raise an event

    def within(self, headers: Mapping[str, Any] | None) -> AbstractContextManager[Any]:
        """Return what runs a block in the context of an event, whose `carried` are the *headers*.

        Routes run in the contexts of their events without it.
        """
        return nullcontext() if self._contexts is None else self._contexts.within(headers)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Keep the contexts of events from now on."""
        library: Any = import_module("evframe_tracing.library")
        self._context = context
        self._contexts = library.Contexts(self._observe)
        self._spans = library.BatchSpans(library.tracer_of(self._provider), self._options.max_links)
        self._follow(self._options)
        context.raising.trace_by(self._contexts)
        context.spawn(self._watch(context, self._contexts))

    @hookimpl
    def stop(self) -> None:
        """Keep no contexts any more; events that have one do not send it."""
        context, self._context = self._context, None
        if context is not None and context.raising.tracing is self._contexts:
            context.raising.trace_by(None)
        self._stop_observing()

    @hookimpl
    def reconfigure(self, options: TracingOptions) -> None:
        """Take other options."""
        self._options = options
        if self._context is not None:
            self._follow(options)

    def _follow(self, options: TracingOptions) -> None:
        """Trace as *options* say."""
        assert self._context is not None
        assert self._contexts is not None
        assert self._spans is not None
        self._contexts.configure(baggage=options.baggage)
        self._spans.max_links = options.max_links
        self._stop_observing()
        self._observe()  # events of an earlier process may wait

    # Observers of batches cost each batch a third of a microsecond, so that there is one only while events are traced.

    def _observe(self) -> None:
        """Observe batches from now on; on any thread."""
        with self._lock:
            context, contexts, spans = self._context, self._contexts, self._spans
            if context is None or contexts is None or spans is None:
                return
            contexts.is_watched = True
            if self._options.spans and self._end_observing is None:
                self._end_observing = context.observe(spans.observe)

    def _stop_observing(self) -> None:
        with self._lock:
            if self._contexts is not None:
                self._contexts.is_watched = False
            end, self._end_observing = self._end_observing, None
            if end is not None:
                end()  # an event that is raised meanwhile has the next batches observed

    async def _watch(self, context: PluginContext, contexts: Contexts) -> None:
        """Observe no batches while there are no events of sampled traces."""
        while True:
            await self._sleep(_LOOK_S)
            was_quiet = not contexts.has_sampled
            contexts.has_sampled = False
            if was_quiet and contexts.is_watched and not any(each.depth for each in context.roster.subscribers):
                self._stop_observing()
                if contexts.has_sampled:  # another thread has raised one since, and takes the batches to be observed
                    self._observe()

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Return how many spans were made, and what was refused."""
        contexts, spans = self._contexts, self._spans
        if contexts is None or spans is None:
            return []
        counters = {
            "spans": spans.made,
            "links_left_out": spans.left_out,
            "refused": contexts.refused,
            "broken": contexts.broken + spans.broken,
        }
        return [StatisticGroup("tracing", counters)]
