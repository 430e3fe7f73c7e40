"""What the ledger of a subscriber calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done


class Recipient(Protocol):
    """Counts the outcomes of events; a subscriber."""

    @property
    def ended(self) -> bool:
        """Whether it has no leases any more."""

    def mirror(self, delivered: int, away: str | None) -> None:
        """Count so many events as delivered, and take over why the peer cannot be reached."""

    @property
    def away(self) -> str | None:
        """Why the peer cannot be reached."""

    def fail_events(self, events: Sequence[Event], dones: Mapping[int, Done], reason: str) -> None:
        """Count events as failed that the front gives up."""


class Carrier(Protocol):
    """Takes events to a worker."""

    @property
    def is_attached(self) -> bool:
        """Whether a worker takes events."""

    def add(self, event: Event, number: int) -> None:
        """Send *event* to the target *number*."""

    def hurry(self) -> None:
        """Send what was added at once."""

    def dropped(self, count: int) -> None:
        """Note that so many events were given up, some of which may not be sent yet."""
