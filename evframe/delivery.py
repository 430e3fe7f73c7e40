"""Delivery: each subscriber's queue, in batches, to its transport; every event gets an outcome."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from evframe.backoff import delay_s
from evframe.events import Event
from evframe.exceptions import DeliveryError, Unavailable
from evframe.failure_log import FailureLog
from evframe.subscribers import Overflow, Subscriber

BATCH_EVENTS: Final = 1024
_TURN_S: Final = 0.005  # one pass over the ready subscribers; then the loop serves its sockets


class Batch:
    """The events under way to one subscriber."""

    __slots__ = ("events", "failures")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.failures: dict[int, str] = {}

    def fail(self, index: int, reason: str) -> None:
        """Count the event at *index* as failed with *reason*, for good."""
        self.failures[index] = reason


class Delivery:
    """Moves events from the queues to the transports; never blocks who raises.

    Args:
        queue_size: how many events may wait for one subscriber.
        overflow: what happens to the event that finds no room.
        end_timeout_s: how long a subscriber that has ended may take for what was raised before.
        on_end: called once when such a subscriber is done.
    """

    def __init__(
        self, *, queue_size: int, overflow: Overflow, end_timeout_s: float, on_end: Callable[[Subscriber], None]
    ) -> None:
        self._queue_size = queue_size
        self._drop_oldest = overflow == "drop_oldest"
        self._end_timeout_s = end_timeout_s
        self._on_end = on_end
        self._ready: deque[Subscriber] = deque()
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        # The loop's callbacks run in one context, not in that of whoever raised an event first.
        self._context = contextvars.Context()
        self._tasks: dict[Subscriber, asyncio.Task[None]] = {}
        self._space: asyncio.Future[None] | None = None
        self._log = FailureLog()
        self._closed = False

    def start(self) -> None:
        """Begin to deliver on the running loop."""
        self._loop = asyncio.get_running_loop()
        self.schedule()

    def put(self, subscribers: Sequence[Subscriber], event: Event) -> None:
        """Queue *event* for each subscriber. The caller is on the loop's thread."""
        for subscriber in subscribers:
            subscriber.raised += 1
            queue = subscriber.queue
            if len(queue) < subscriber.room:
                queue.append(event)  # type: ignore[union-attr]
            else:
                self._overflow(subscriber, event)
            if subscriber.idle:
                subscriber.idle = False
                self._ready.append(subscriber)
        if not self._scheduled:
            self.schedule()

    def schedule(self) -> None:
        """Have the queues flushed in the next turn of the loop."""
        if self._loop is not None and self._ready and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush, context=self._context)

    def _overflow(self, subscriber: Subscriber, event: Event) -> None:
        if self._closed:
            subscriber.settle(event, "shutdown")
        elif not subscriber.room:
            subscriber.room = self._queue_size
            subscriber.queue = deque((event,))
        else:
            if self._drop_oldest:
                queue = subscriber.queue
                assert isinstance(queue, deque)
                subscriber.settle(queue.popleft(), "queue_full")
                queue.append(event)
            else:
                subscriber.settle(event, "queue_full")
            self._log.lost(subscriber, "queue_full")

    async def room(self, subscribers: Sequence[Subscriber]) -> None:
        """Wait until none of the queues is full."""
        while any(subscriber.room and len(subscriber.queue) >= subscriber.room for subscriber in subscribers):
            if self._space is None:
                self._space = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._space)

    def _flush(self) -> None:
        self._scheduled = False
        ready = self._ready
        until = time.monotonic() + _TURN_S
        for _ in range(len(ready)):
            self._pump(ready.popleft())
            if time.monotonic() > until:
                break
        self.schedule()
        if self._space is not None:
            self._space.set_result(None)
            self._space = None

    def _pump(self, subscriber: Subscriber) -> None:
        queue = subscriber.queue
        if not queue:
            self._rest(subscriber)
            return
        assert isinstance(queue, deque)
        if len(queue) <= BATCH_EVENTS:
            events = list(queue)
            queue.clear()
        else:
            events = [queue.popleft() for _ in range(BATCH_EVENTS)]
        batch = Batch(events)
        subscriber.in_flight = len(events)
        try:
            result = subscriber.transport.deliver(subscriber.socket, batch)
        except Exception as error:  # noqa: BLE001 a plugin's error is an outcome, never ours
            self._failed(subscriber, batch, error)
            return
        if result is True:
            self._done(subscriber, batch, len(events))
            self._again(subscriber)
        elif isinstance(result, Awaitable):
            assert self._loop is not None
            self._tasks[subscriber] = self._loop.create_task(self._wait(subscriber, batch, result))
        else:
            self._failed(subscriber, batch, TypeError(f"deliver: expected True or an awaitable, got {result!r}"))

    async def _wait(self, subscriber: Subscriber, batch: Batch, result: Awaitable[None]) -> None:
        try:
            await result
        except asyncio.CancelledError:
            self._tasks.pop(subscriber, None)
            self._failed(subscriber, batch, DeliveryError("shutdown" if self._closed else "unsubscribed"))
        except Exception as error:  # noqa: BLE001 as in _pump
            self._tasks.pop(subscriber, None)
            self._failed(subscriber, batch, error)
        else:
            self._tasks.pop(subscriber, None)
            self._done(subscriber, batch, len(batch.events))
            self._again(subscriber)

    def _again(self, subscriber: Subscriber) -> None:
        if subscriber.queue and not self._closed:
            self._ready.append(subscriber)
            self.schedule()
        else:
            self._rest(subscriber)

    def _rest(self, subscriber: Subscriber) -> None:
        subscriber.idle = True
        if subscriber.ended and not subscriber.queue:
            self._on_end(subscriber)

    def _done(self, subscriber: Subscriber, batch: Batch, count: int) -> None:
        """Record the outcomes of the first *count* events."""
        subscriber.in_flight = 0
        failures = batch.failures
        if count and subscriber.attempts:
            subscriber.attempts = 0
            self._log.back(subscriber)
        if not failures and subscriber.waiting is None:
            subscriber.delivered += count
            return
        events = batch.events
        for index in range(count):
            subscriber.settle(events[index], failures.get(index))
        if failures:
            self._log.lost(subscriber, next(iter(failures.values())))

    def _failed(self, subscriber: Subscriber, batch: Batch, error: Exception) -> None:
        events = batch.events
        done = error.done if isinstance(error, DeliveryError) else 0
        self._done(subscriber, batch, done)
        if isinstance(error, Unavailable) and not subscriber.ended and not self._closed:
            queue = subscriber.queue
            assert isinstance(queue, deque)
            # What was marked as failed beyond *done* is over; the rest goes back in its order.
            failures = batch.failures
            if failures:
                for index in range(done, len(events)):
                    if index in failures:
                        subscriber.settle(events[index], failures[index])
            queue.extendleft(events[index] for index in range(len(events) - 1, done - 1, -1) if index not in failures)
            subscriber.attempts += 1
            self._log.away(subscriber, error.reason)
            assert self._loop is not None
            self._loop.call_later(delay_s(subscriber.attempts), self._again, subscriber, context=self._context)
            return
        reason = error.reason if isinstance(error, DeliveryError) else "plugin_error"
        self._log.lost(subscriber, reason, None if isinstance(error, DeliveryError) else error)
        for index in range(done, len(events)):
            subscriber.settle(events[index], batch.failures.get(index, reason))
        self._again(subscriber)

    def end(self, subscriber: Subscriber) -> None:
        """Let go of a subscriber without leases, once what was raised for it is delivered."""
        subscriber.ended = True
        if subscriber.idle:
            self._rest(subscriber)
        elif self._loop is not None:
            self._loop.call_later(self._end_timeout_s, self._cut, subscriber)

    def _cut(self, subscriber: Subscriber) -> None:
        """Give up on what a subscriber that has ended did not take in time."""
        if not subscriber.ended or subscriber.idle:
            return
        self._lose_queue(subscriber, "unsubscribed")
        task = self._tasks.get(subscriber)
        if task is not None:
            task.cancel()

    @staticmethod
    def _lose_queue(subscriber: Subscriber, reason: str) -> None:
        queue = subscriber.queue
        if isinstance(queue, deque):
            while queue:
                subscriber.settle(queue.popleft(), reason)

    async def drain(self, subscribers: Iterable[Subscriber], timeout_s: float) -> None:
        """Deliver what is queued within *timeout_s* seconds; count the rest as `shutdown`."""
        subscribers = list(subscribers)
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and any(subscriber.depth for subscriber in subscribers):
            await asyncio.sleep(0.005)
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=max(1.0, timeout_s))
        for subscriber in subscribers:
            self._lose_queue(subscriber, "shutdown")
            subscriber.room = 0
        self._loop = None
