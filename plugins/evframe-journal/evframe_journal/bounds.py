"""How large a frame is, how long an event waits before it is written, and what a file has."""

from __future__ import annotations

import attrs


@attrs.frozen
class Bounds:
    """The bounds of all queues."""

    fresh_events: int = 65_536
    """How many events of a subscriber may wait to be written, beside those in memory."""
    frame_events: int = 4_096
    """How many events a frame has at most."""
    store_after_s: float = 0.02
    """How many seconds an event may wait or be under way before it is written."""


@attrs.frozen
class Kept:
    """What a file has for one subscriber."""

    low: int
    """The lowest position that is not settled."""
    tail: int
    """The position of the next event."""
    count: int
    """How many events are kept."""
