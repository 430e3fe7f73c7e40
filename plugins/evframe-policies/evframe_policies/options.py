"""The table of the configuration."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least


@attrs.frozen
class Options:
    """The table ``[plugins.policies]``."""

    memory_bytes: int = attrs.field(default=268_435_456, validator=at_least(0))
    """How many bytes of payloads may wait in memory for all subscribers with a policy for their queues; beyond it, the
    oldest events of those with the lowest `priority` are dropped. 0 for any number."""
