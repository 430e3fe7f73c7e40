"""Members: the subscribers that a combining transport, such as `virtual`, delivers through."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from evframe.calls import comes_from_outside
from evframe.delivery.batch import Batch
from evframe.delivery.delivery import Delivery
from evframe.delivery.probes import can_be_probed, question, state_of
from evframe.delivery.queues import take_all
from evframe.delivery.sockets import Socket
from evframe.delivery.statistics import Counters
from evframe.delivery.subscribers import Carrier, Subscriber
from evframe.events.event import Event
from evframe.exceptions import DeliveryError

log = logging.getLogger("evframe.delivery")
HANDED_OVER: Final = "handed_over"


@attrs.frozen
class Address:
    """A socket, the transport that owns it, and the text that was given for it, which may hold secrets."""

    socket: Socket
    transport: Carrier
    text: str = attrs.field(default="", eq=False, repr=False)


class Member:
    """A subscriber with a separate queue and counters, whose events come from a combining transport.

    Args:
        delivery: of the interface.
        address: where the events of the member go.
        on_away: called when the peer cannot be reached; without *on_away*, the core sends again later.
    """

    def __init__(self, delivery: Delivery, address: Address, on_away: Callable[[str], None] | None) -> None:
        self._delivery = delivery
        self.subscriber = Subscriber(address.socket, address.transport, address.text)
        self.subscriber.on_away = on_away
        self._taken: deque[Event] = deque()

    @property
    def depth(self) -> int:
        """How many events wait or are under way."""
        return self.subscriber.depth

    @property
    def counters(self) -> Counters:
        """The counters as they are now."""
        away = self.subscriber.away
        return Counters.of(self.subscriber, away, state_of(self.subscriber, away))

    def put(self, event: Event, done: Callable[[str | None], None]) -> None:
        """Queue *event*; *done* is called with None when it is delivered, or the reason why not."""
        self.subscriber.wait_for(event, done)
        self._delivery.put((self.subscriber,), event)

    def withdraw(self) -> None:
        """Begin no further batch, and call *on_away* when the batches under way are over.

        *done* calls this method when an event has failed together with its batch.
        """
        if self.subscriber.returned is None:
            self.subscriber.returned = []

    def take_back(self) -> None:
        """Fail every event that is not under way, in order, with the reason `handed_over`."""
        self.take_queue()
        self.fail_taken(len(self._taken))

    def take_queue(self) -> None:
        """Take every event that is not under way out of the queue, quickly; `fail_taken` counts the events later."""
        subscriber = self.subscriber
        queue = subscriber.queue
        if isinstance(queue, deque) and queue:
            taken, subscriber.queue = take_all(queue)
            subscriber.in_flight += len(taken)  # until each has its outcome
            self._taken.extend(taken)

    @property
    def has_taken(self) -> bool:
        """Whether there is anything for `fail_taken`."""
        return bool(self._taken)

    def fail_taken(self, most: int) -> None:
        """Fail *most* of the events that were taken, the oldest first, with the reason `handed_over`."""
        subscriber = self.subscriber
        for _ in range(min(most, len(self._taken))):
            subscriber.in_flight -= 1
            subscriber.settle(self._taken.popleft(), HANDED_OVER)
        if not self._taken and subscriber.idle:
            self._delivery.rest(subscriber)

    async def ask(self) -> bool:
        """Return whether the peer can be reached; a probe is sent only when no events wait for delivery.

        A failed probe counts as a failed delivery: `on_away` is called, and the reason is logged.
        """
        if can_be_probed(self.subscriber):
            self._delivery.retries.spend()
            await asyncio.wait((self._delivery.probe(self.subscriber, question(self.subscriber)),))
        return self.subscriber.away is None

    async def turn(self, after_s: float) -> None:
        """Wait until `probe` may be called, in *after_s* seconds or later: see `core.retries_per_s`."""
        await self._delivery.retries.turn(after_s)

    async def probe(self, timeout_s: float, *, has_turn: bool = False) -> bool:
        """Send an empty batch, and return whether the peer can be reached within *timeout_s* seconds.

        Args:
            timeout_s: seconds.
            has_turn: whether `turn` was waited for; the attempt counts at once otherwise.
        """
        if not has_turn:
            self._delivery.retries.spend()
        result = None
        try:
            result = self.subscriber.transport.deliver(self.subscriber.socket, Batch(()))
            if isinstance(result, Awaitable):
                async with asyncio.timeout(timeout_s):
                    await result
        except (DeliveryError, TimeoutError):
            return False
        except BaseException as error:
            if comes_from_outside(error):
                raise
            log.exception("a transport raised an error", extra={"socket": self.subscriber.socket.canonical})
            return False
        finally:
            del result  # its error has a traceback with this frame
        return True
