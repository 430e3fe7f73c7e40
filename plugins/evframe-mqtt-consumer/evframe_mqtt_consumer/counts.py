"""The counters of a session."""

from __future__ import annotations

import attrs


@attrs.define
class Counts:
    """What has happened to messages since the start."""

    received: int = 0
    redelivered: int = 0
    """How many of them had been sent before."""
    dropped: int = 0
    """How many of QoS 0 had no room, or were to be raised again when the connection was lost."""
    waiting: int = 0
    """How many events have no outcome yet."""
    retried: int = 0
    acknowledged: int = 0
