"""Members: the subscribers that a combining transport, such as `virtual`, delivers through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from evframe.delivery.carrier import Carrier
from evframe.delivery.probes import can_be_probed, contained_problem_of, question, state_of
from evframe.delivery.queues import Done, Queue
from evframe.delivery.scheduler import Scheduler
from evframe.delivery.sockets import Socket
from evframe.delivery.statistics import Counters
from evframe.events.event import Event


@attrs.frozen
class Address:
    """A socket, the transport that owns it, and the text that was given for it, which may hold secrets."""

    socket: Socket
    transport: Carrier
    text: str = attrs.field(default="", eq=False, repr=False)


class Member:
    """A subscriber with a separate queue and counters, whose events come from a combining transport.

    Args:
        scheduler: of the interface.
        address: where the events of the member go.
        on_away: called when the peer cannot be reached; without *on_away*, the core sends again later.
    """

    def __init__(self, scheduler: Scheduler, address: Address, on_away: Callable[[str], None] | None) -> None:
        self._scheduler = scheduler
        self.subscriber = scheduler.open(address.socket, address.transport, address.text, on_away)

    @property
    def depth(self) -> int:
        """How many events wait or are under way."""
        return self.subscriber.depth

    @property
    def handed_over(self) -> int:
        """How many events were taken back."""
        return self.subscriber.handed_over

    @property
    def has_ended(self) -> bool:
        """Whether the member is closed: an event that fails now has failed for good."""
        return self.subscriber.ended or self._scheduler.is_closed

    @property
    def counters(self) -> Counters:
        """The counters as they are now: raised = delivered + failed + depth + handed_over."""
        away = self.subscriber.away
        return Counters.of(self.subscriber, away, state_of(self.subscriber, away))

    def put(self, event: Event, done: Done) -> None:
        """Queue *event*; *done* is called with None when it is delivered, or the reason why not."""
        if self.subscriber.put(event, done):
            self._scheduler.get_turn(self.subscriber)

    def withdraw(self) -> None:
        """Begin no further batch, and call *on_away* when the batches under way are over.

        *done* calls this method when an event has failed together with its batch.
        """
        self.subscriber.withdraw()

    def take_back(self) -> Queue:
        """Remove every event that is not under way, and return these with their callbacks, the oldest first.

        The callbacks are not called, and the member counts the events as handed over. The time that
        this takes does not depend on the number of events.
        """
        return self.subscriber.take_back()

    async def ask(self) -> bool:
        """Return whether the peer can be reached; a probe is sent only when no events wait for delivery.

        A failed probe counts as a failed delivery: `on_away` is called, and the reason is logged.
        """
        if can_be_probed(self.subscriber):
            self._scheduler.retries.spend()
            await asyncio.wait((self._scheduler.probe(self.subscriber, question(self.subscriber)),))
        return self.subscriber.away is None

    async def turn(self, after_s: float) -> None:
        """Wait until `probe` may be called, in *after_s* seconds or later: see `core.retries_per_s`."""
        await self._scheduler.retries.turn(after_s)

    async def probe(self, timeout_s: float, *, has_turn: bool = False) -> bool:
        """Send an empty batch, and return whether the peer can be reached within *timeout_s* seconds.

        A member that is closed is not probed: nothing would release what the transport opens for the probe.

        Args:
            timeout_s: seconds.
            has_turn: whether `turn` was waited for; the attempt counts at once otherwise.
        """
        if not has_turn:
            self._scheduler.retries.spend()
        return not self.has_ended and await contained_problem_of(self.subscriber, timeout_s) is None
