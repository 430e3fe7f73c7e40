"""The table of the configuration."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least


@attrs.frozen
class Options:
    """The table ``[plugins.virtual]``."""

    failover_timeout_s: float = attrs.field(default=30.0, validator=at_least(0))
    """How long a member that has failed is left alone while another is healthy, before it is probed."""
