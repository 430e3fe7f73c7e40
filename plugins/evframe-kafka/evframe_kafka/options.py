"""The options of the transport: the table ``[plugins.kafka]``."""

from __future__ import annotations

from typing import Any

import attrs


def _positive(_: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name}: expected 1 or more, got {value!r}")


@attrs.frozen
class Options:
    """What holds for every broker; properties of a socket go before it."""

    connect_timeout_ms: int = attrs.field(default=5000, validator=_positive)
    """How long finding a cluster and the partitions of a topic may take."""
    delivery_timeout_ms: int = attrs.field(default=10_000, validator=_positive)
    """How long the brokers may take to acknowledge a record before it is tried anew."""
    batch_bytes: int = attrs.field(default=262_144, validator=_positive)
    """How large a batch of records may be."""
    max_in_flight: int = attrs.field(default=65_536, validator=_positive)
    """How many records of a subscriber may be without an acknowledgement."""
    enable_idempotence: bool = False
    """Have the brokers drop what a retry within a connection sends twice."""
