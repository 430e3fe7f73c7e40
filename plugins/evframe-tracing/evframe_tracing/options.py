"""The options of the plugin: the table ``[plugins.tracing]``."""

from __future__ import annotations

import attrs

from evframe.plugin import within


@attrs.frozen
class Options:
    """What is kept with events, and which spans are made."""

    spans: bool = True
    """Whether each batch with an event of a sampled trace has a span. Contexts are sent without spans, too."""
    max_links: int = attrs.field(default=128, validator=within(0, 10_000))
    """How many contexts of events a span of a batch is linked to; the others are counted in an attribute of the span.
    The SDK has a limit as well, of 128 unless ``OTEL_SPAN_LINK_COUNT_LIMIT`` says otherwise."""
    baggage: bool = False
    """Whether baggage is kept and sent, too. It may hold what the peers of a subscriber should not see."""
