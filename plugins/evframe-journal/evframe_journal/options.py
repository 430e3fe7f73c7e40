"""The table of the configuration."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least


@attrs.frozen
class Options:
    """The table ``[plugins.journal]``."""

    path: str | None = None
    """The file in which events wait, and which may hold passwords. Left out, a gateway has one in systemd's
    ``StateDirectory``, or beside its configuration; a service has to name one."""
    store_after_ms: int = attrs.field(default=20, validator=at_least(2))
    """After how many milliseconds an event that is not delivered yet is written, at the latest."""
    dead_max_bytes: int = attrs.field(default=268_435_456, validator=at_least(0))
    """How many bytes of dead letters are kept, each with 256 beside its payload and names; the oldest are dropped."""
    dead_max_age_s: int = attrs.field(default=2_592_000, validator=at_least(0))
    """For how many seconds dead letters are kept; 0 for any time."""
