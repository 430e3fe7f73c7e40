"""What has happened to the records of a connection."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from aiokafka import TopicPartition


@attrs.define
class Counts:
    """What has happened since the start."""

    received: int = 0
    """Records that have come."""
    retried: int = 0
    """Events that were raised again."""
    dead_letters: int = 0
    """Records that were sent to the dead letters."""
    refused_dead_letters: Counter[str] = attrs.field(factory=Counter)
    """Records that the dead letters do not take, by the reason."""
    waiting: Counter[TopicPartition] = attrs.field(factory=Counter)
    """Events whose outcomes are not known yet, by the partitions of their records."""
