"""The table of the configuration."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least, within


@attrs.frozen
class Options:
    """The table ``[plugins.workers]``."""

    count: int = attrs.field(default=0, validator=within(0, 64, "processes"))
    """How many processes deliver events beside this one, 64 at most; 0 for none. ``evframe run --workers`` sets it."""
    local: list[str] = attrs.field(factory=list)
    """Patterns of canonical sockets, such as ``udp:127.*``, whose subscribers this process delivers to itself."""
    front: list[str] = attrs.field(factory=list)
    """Plugins that workers do not load, beside the sources, the management interfaces and the exporters."""
    hang_timeout_s: float = attrs.field(default=30.0, validator=at_least(0))
    """For how many seconds a worker may leave the question whether it runs without an answer; then it is killed, and
    started again. 0 for any number."""
    crash_limit: int = attrs.field(default=3, validator=at_least(0))
    """How many crashes of its worker an event may cause; it fails with ``worker_crash`` then. 0 for any number."""
