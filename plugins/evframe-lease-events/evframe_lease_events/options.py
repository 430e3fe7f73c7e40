"""The options of the source: the table ``[plugins.lease-events]``."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least


@attrs.frozen
class Options:
    """When events about leases and deliveries are raised."""

    notice_s: int = attrs.field(default=30, validator=at_least(1))
    """How long before its end a lease raises an event; at most a quarter of the lease."""
    settle_s: float = attrs.field(default=5.0, validator=at_least(0))
    """How long deliveries have to work again before an event is raised."""
    failed_per_s: int = attrs.field(default=100, validator=at_least(1))
    """How many events that failed for good raise an event in a second; the others are counted."""
    with_payload: bool = False
    """Whether the events about failures have the name and the payload of the event that failed."""
