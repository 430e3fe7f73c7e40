"""The outcome of one event at each of its subscribers."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import attrs

from evframe.calls import comes_from_outside

if TYPE_CHECKING:
    from evframe.delivery.queues import Done
    from evframe.delivery.subscriber import Subscriber

log = logging.getLogger("evframe.delivery")
_thread = threading.local()  # `is_calling`: whether a callback of an `OutcomeCallback` runs


@attrs.frozen
class Outcome:
    """The outcome of one event at one subscriber: delivered when *reason* is None."""

    socket: str
    reason: str | None

    @property
    def delivered(self) -> bool:
        """Whether the far side has the event, as far as its transport can know."""
        return self.reason is None


class OutcomeWait:
    """Collects the outcomes of one event at *subscribers*."""

    def __init__(self, subscribers: Sequence[Subscriber]) -> None:
        loop = asyncio.get_running_loop()
        self._waits = [(subscriber, loop.create_future()) for subscriber in subscribers]
        self.dones: list[Done] = [partial(_set, future) for _, future in self._waits]
        """What is called with the outcome at each of the subscribers."""

    async def report(self, timeout_s: float | None) -> list[Outcome]:
        """Return one outcome for each subscriber; after *timeout_s* seconds those that are open are `pending`."""
        if self._waits:
            await asyncio.wait([future for _, future in self._waits], timeout=timeout_s)
        return [
            Outcome(subscriber.socket.canonical, future.result() if future.done() else "pending")
            for subscriber, future in self._waits
        ]


def _set(future: asyncio.Future[str | None], reason: str | None) -> None:
    if not future.done():
        future.set_result(reason)


class OutcomeCallback:
    """Calls *callback* once, when *count* subscribers have called `done`: with the reason of each failure, or None.

    *callback* runs within the delivery and must therefore return quickly; an error that it raises is logged. When
    another callback runs, it is called in the next turn of the loop: a callback that raises an event for a full queue
    may fail the next event that has one, and so on, which would become a deep recursion.
    """

    __slots__ = ("_callback", "_open", "_reasons")

    def __init__(self, count: int, callback: Callable[[Sequence[str | None]], None]) -> None:
        self._open = count
        self._reasons: list[str | None] = []
        self._callback = callback
        if not count:
            self._call()

    def done(self, reason: str | None) -> None:
        """Take the outcome at one subscriber."""
        self._reasons.append(reason)
        self._open -= 1
        if not self._open:
            self._call()

    def _call(self) -> None:
        if getattr(_thread, "is_calling", False):
            with suppress(RuntimeError):  # without a loop, nothing is delivered: the chain ends soon
                asyncio.get_running_loop().call_soon(self._call)
                return
        _thread.is_calling = True
        try:
            self._callback(self._reasons)
        except BaseException as error:
            if comes_from_outside(error):
                raise
            log.exception("what was to be called with an event's outcome raised an error")
        finally:
            _thread.is_calling = False
