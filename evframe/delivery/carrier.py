"""What the delivery needs of a transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from evframe.delivery.batch import Batch
    from evframe.delivery.sockets import Socket

BATCH_EVENTS: Final = 1024


class Carrier(Protocol):
    """Sends the batches of a subscriber to its peer; see `Limits` for what the attributes mean."""

    @property
    def batch_events(self) -> int:
        """How many events one batch may have."""

    @property
    def in_flight(self) -> int:
        """How many events may be under way before the next batch waits for the one before."""

    @property
    def in_flight_batches(self) -> int:
        """How many batches may be under way."""

    @property
    def at_once(self) -> bool:
        """Whether the first event of a turn of the loop is delivered within its raise."""

    @property
    def gathers(self) -> bool:
        """Whether events wait a moment for others after a batch has begun."""

    @property
    def reads_params(self) -> bool:
        """Whether the parameters themselves are read, and not only the payload."""

    @property
    def deliver(self) -> Callable[[Socket, Batch], Awaitable[None] | bool | None]:
        """Send a batch; see the hook `deliver`."""

    @property
    def unsubscribed(self) -> Callable[..., Any]:
        """Release what belongs to a socket; see the hook `unsubscribed`."""
