"""A batch: the events that go to a transport in one call."""

from __future__ import annotations

from collections.abc import Sequence

from evframe.events.event import Event


class Batch:
    """The events under way to one subscriber, and what the transport says about them."""

    __slots__ = ("confirmed", "error", "events", "failures", "number")

    def __init__(self, events: Sequence[Event], number: int = 0) -> None:
        self.events = events
        self.number = number
        self.failures: dict[int, str] = {}
        self.confirmed: set[int] = set()
        self.error: BaseException | None = None

    def fail(self, index: int, reason: str, error: BaseException | None = None) -> None:
        """Count the event at *index* as failed with *reason*, for good; *error* goes to the log."""
        self.failures[index] = reason
        if self.error is None:
            self.error = error

    def confirm(self, index: int) -> None:
        """Count the event at *index* as delivered, even when the rest is tried again."""
        self.confirmed.add(index)
