"""A subscriber: one socket with its queue and counters, and the leases that keep it."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from evframe.delivery.batch import Batch
    from evframe.delivery.sockets import Socket
    from evframe.events.event import Event

BATCH_EVENTS: Final = 1024


class Carrier(Protocol):
    """Sends the batches of a subscriber to its peer."""

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


class Subscriber:
    """Everything that is delivered to one socket: the queue, its bound, the counters.

    A queue is made at the first event, so that idle subscriptions stay small.
    """

    __slots__ = (
        "attempts",
        "away",
        "batches",
        "delivered",
        "ended",
        "failed",
        "failing",
        "held",
        "idle",
        "in_flight",
        "leases",
        "on_away",
        "queue",
        "queued",
        "raised",
        "reached",
        "reasons",
        "returned",
        "room",
        "socket",
        "successor",
        "text",
        "transport",
        "waiting",
    )

    def __init__(self, socket: Socket, transport: Carrier, text: str = "") -> None:
        self.socket = socket
        self.text = text  # as it was subscribed, with its secrets
        self.transport = transport
        self.queue: deque[Event] | tuple[()] = ()
        self.room = 0
        self.idle = True  # the next event has to add the subscriber to those that the delivery serves
        self.queued = False  # the subscriber is among those that the delivery serves
        self.returned: list[tuple[int, list[Event]]] | None = None  # None unless the subscriber is away
        self.on_away: Callable[[str], None] | None = None  # called instead of a retry
        self.ended = False
        self.failing = False  # deliveries fail, and the failure was reported
        self.held = False  # no further batch begins until the batches under way are over
        self.successor: Socket | None = None  # takes the place of the socket when nothing is under way
        self.attempts = 0
        self.away: str | None = None  # why the subscriber cannot be reached
        self.reached = False  # whether the last probe reached the peer
        self.leases = 0
        self.batches = 0
        self.in_flight = 0
        self.raised = 0
        self.delivered = 0
        self.failed = 0
        self.reasons: dict[str, int] | None = None
        self.waiting: dict[int, Callable[[str | None], Any]] | None = None

    @property
    def depth(self) -> int:
        """How many events wait or are under way."""
        return len(self.queue) + self.in_flight

    def wait_for(self, event: Event, tell: Callable[[str | None], Any]) -> None:
        """Call *tell* later with the outcome of *event*, which is the reason that `settle` gets."""
        if self.waiting is None:
            self.waiting = {}
        self.waiting[id(event)] = tell

    def settle(self, event: Event, reason: str | None) -> None:
        """Record one event's outcome: delivered for None, else failed with *reason*."""
        if reason is None:
            self.delivered += 1
        else:
            self.lose(reason, 1)
        if self.waiting is not None:
            tell = self.waiting.pop(id(event), None)
            self.waiting = self.waiting or None
            if tell is not None:
                tell(reason)

    def lose_queue(self, reason: str, most: int = sys.maxsize) -> int:
        """Count at most *most* waiting events, oldest first, as failed with *reason*; return how many were counted."""
        queue = self.queue
        count = min(len(queue), most)
        if isinstance(queue, deque):
            for _ in range(count):
                self.settle(queue.popleft(), reason)
        return count

    def lose(self, reason: str, count: int) -> None:
        """Count *count* events as failed with *reason*."""
        self.failed += count
        if self.reasons is None:
            self.reasons = {}
        self.reasons[reason] = self.reasons.get(reason, 0) + count


def plugin_of(subscriber: Subscriber) -> str:
    """Return the name of the plugin that delivers to *subscriber*; empty for a carrier that is no plugin."""
    return getattr(subscriber.transport, "name", "")
