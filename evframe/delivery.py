"""Delivery: each subscriber's queue, in batches, to its transport; every event gets an outcome."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from evframe.backoff import delay_s
from evframe.events import Event
from evframe.exceptions import DeliveryError, Unavailable
from evframe.sockets import Socket
from evframe.subscribers import Overflow, Subscriber

log = logging.getLogger("evframe.delivery")
Deliver = Callable[[Socket, "Batch"], Awaitable[None] | bool]
_TURN_S: Final = 0.005  # one pass over the ready subscribers; then the loop serves its sockets
BATCH_EVENTS: Final = 1024


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
    """Moves events from the queues to the transports; never blocks who raises."""

    def __init__(
        self, deliver: Deliver, *, queue_size: int, overflow: Overflow, on_end: Callable[[Subscriber], None]
    ) -> None:
        self._deliver = deliver
        self._queue_size = queue_size
        self._drop_oldest = overflow == "drop_oldest"
        self._on_end = on_end
        self._ready: deque[Subscriber] = deque()
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.lock = threading.Lock()

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
            self._loop.call_soon(self._flush)

    def _overflow(self, subscriber: Subscriber, event: Event) -> None:
        if not subscriber.room:
            subscriber.room = self._queue_size
            subscriber.queue = deque((event,))
        elif self._drop_oldest:
            queue = subscriber.queue
            assert isinstance(queue, deque)
            subscriber.settle(queue.popleft(), "queue_full")
            queue.append(event)
        else:
            subscriber.settle(event, "queue_full")

    def _flush(self) -> None:
        self._scheduled = False
        ready = self._ready
        until = time.monotonic() + _TURN_S
        for _ in range(len(ready)):
            self._pump(ready.popleft())
            if time.monotonic() > until:
                break
        self.schedule()

    def _pump(self, subscriber: Subscriber) -> None:
        queue = subscriber.queue
        if not queue:
            subscriber.idle = True
            self._end(subscriber)
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
            result = self._deliver(subscriber.socket, batch)
        except Exception as error:  # noqa: BLE001 a plugin's error is an outcome, never ours
            self._failed(subscriber, batch, error)
            return
        if result is True:
            self._done(subscriber, batch, len(events))
            self._again(subscriber)
        elif isinstance(result, Awaitable):
            assert self._loop is not None
            task = self._loop.create_task(self._wait(subscriber, batch, result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._failed(subscriber, batch, TypeError(f"deliver: expected True or an awaitable, got {result!r}"))

    async def _wait(self, subscriber: Subscriber, batch: Batch, result: Awaitable[None]) -> None:
        try:
            await result
        except Exception as error:  # noqa: BLE001 as in _pump
            self._failed(subscriber, batch, error)
        except asyncio.CancelledError:
            self._done(subscriber, batch, 0)
            self._requeue(subscriber, batch, 0)
            subscriber.idle = True
            raise
        else:
            self._done(subscriber, batch, len(batch.events))
            self._again(subscriber)

    def _again(self, subscriber: Subscriber) -> None:
        if subscriber.queue or subscriber.ended:
            self._ready.append(subscriber)
            self.schedule()
        else:
            subscriber.idle = True

    def _done(self, subscriber: Subscriber, batch: Batch, count: int) -> None:
        """Record the outcomes of the first *count* events."""
        subscriber.in_flight = 0
        if count:
            subscriber.attempts = 0
        if not batch.failures and subscriber.waiting is None:
            subscriber.delivered += count
            return
        failures = batch.failures
        for index in range(count):
            subscriber.settle(batch.events[index], failures.get(index))

    def _requeue(self, subscriber: Subscriber, batch: Batch, done: int) -> None:
        queue = subscriber.queue
        assert isinstance(queue, deque)
        queue.extendleft(reversed(batch.events[done:]))

    def _failed(self, subscriber: Subscriber, batch: Batch, error: Exception) -> None:
        done = error.done if isinstance(error, DeliveryError) else 0
        self._done(subscriber, batch, done)
        if isinstance(error, Unavailable) and not subscriber.ended and not self._closing:
            self._requeue(subscriber, batch, done)
            subscriber.attempts += 1
            assert self._loop is not None
            self._loop.call_later(delay_s(subscriber.attempts), self._again, subscriber)
            return
        reason = error.reason if isinstance(error, DeliveryError) else "plugin_error"
        if reason == "plugin_error":
            log.error("a transport raised an error", exc_info=error, extra={"socket": subscriber.socket.canonical})
        for index in range(done, len(batch.events)):
            subscriber.settle(batch.events[index], batch.failures.get(index, reason))
        self._again(subscriber)

    def end(self, subscriber: Subscriber) -> None:
        """Let go of a subscriber without leases, once its queue is empty."""
        subscriber.ended = True
        if subscriber.idle:
            self._end(subscriber)

    def _end(self, subscriber: Subscriber) -> None:
        if subscriber.ended and not subscriber.queue:
            self._on_end(subscriber)

    async def drain(self, subscribers: Sequence[Subscriber], timeout_s: float) -> None:
        """Deliver what is queued within *timeout_s* seconds; count the rest as `shutdown`."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and any(subscriber.depth for subscriber in subscribers):
            await asyncio.sleep(0.005)
        self._closing = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for subscriber in subscribers:
            queue = subscriber.queue
            if isinstance(queue, deque):
                while queue:
                    subscriber.settle(queue.popleft(), "shutdown")
        self._loop = None
