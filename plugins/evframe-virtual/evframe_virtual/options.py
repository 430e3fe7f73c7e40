"""The table of the configuration."""

from __future__ import annotations

from typing import Any

import attrs


def _not_negative(_: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{attribute.name}: expected 0 or more seconds, got {value!r}")


@attrs.frozen
class Options:
    """The table ``[plugins.virtual]``."""

    failover_timeout_s: float = attrs.field(default=30.0, validator=_not_negative)
    """How long a member that has failed is left alone while another is healthy, before it is probed."""
