"""The options of the sessions: the table ``[plugins.dialog]``."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least, within


@attrs.frozen
class Options:
    """How long sessions last and how they are kept alive."""

    default_timeout_s: float = attrs.field(default=43_200.0, validator=at_least(1))
    """The lifetime of a session that names none, from its answer on."""
    setup_timeout_s: float = attrs.field(default=180.0, validator=at_least(0))
    """How long a session may wait for its answer (RFC 3261, timer C); 0 for no limit."""
    idle_timeout_s: float = attrs.field(default=0.0, validator=at_least(0))
    """End a session for which nothing arrived for so long since its answer; 0 for no limit."""
    options_ping_interval_s: float = attrs.field(default=30.0, validator=at_least(1))
    """How often a side is pinged that asks for pings of the kind ``options``."""
    reinvite_ping_interval_s: float = attrs.field(default=300.0, validator=at_least(1))
    """How often a side is pinged that asks for pings of the kind ``reinvite``."""
    ping_timeout_s: float = attrs.field(default=5.0, validator=at_least(0.01))
    """How long a ping waits for its answer; a side that gives none is dead."""
    hang_up_timeout_s: float = attrs.field(default=5.0, validator=at_least(0.01))
    """How long notifying both sides of an end may take before the session ends without that."""
    race_condition_timeout_s: float = attrs.field(default=5.0, validator=at_least(0))
    """The lifetime of a session that was answered although it had been given up, if it asks for that."""
    late_answer_s: float = attrs.field(default=5.0, validator=at_least(0))
    """How long a session that ended without an answer can still be revived by one."""
    delete_delay_s: float = attrs.field(default=0.0, validator=at_least(0))
    """How long a session can be looked up after its end."""
    hash_size: int = attrs.field(default=4096, validator=within(1, 2**31))
    """The number of slots that the first half of an id counts."""
    list_limit: int = attrs.field(default=1000, validator=at_least(1))
    """How many sessions one answer of a command holds."""

    def ping_interval_s(self, kind: str) -> float:
        """Return how often a side gets pings of a kind."""
        return self.options_ping_interval_s if kind == "options" else self.reinvite_ping_interval_s
