"""What the delivery needs of a transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from evframe.delivery.batch import Batch
    from evframe.delivery.limits import Limits
    from evframe.delivery.sockets import Socket


class Carrier(Protocol):
    """Sends the batches of a subscriber to its peer."""

    @property
    def limits(self) -> Limits:
        """What the transport can take, and what it needs."""

    @property
    def deliver(self) -> Callable[[Socket, Batch], Awaitable[None] | bool | None]:
        """Send a batch; see the hook `deliver`."""

    @property
    def unsubscribed(self) -> Callable[..., Any]:
        """Release what belongs to a socket; see the hook `unsubscribed`."""
