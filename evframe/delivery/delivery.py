"""Delivery: each subscriber's queue, in batches, to its transport; every event gets an outcome."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from evframe_wire.backoff import delay_s

from evframe.calls import comes_from_outside, contained
from evframe.config import CoreOptions
from evframe.delivery.batch import Batch
from evframe.delivery.ending import LATE_S, Ends, cancel, cancel_again, emptied, lose
from evframe.delivery.failures import Failures
from evframe.delivery.gathering import Gathering
from evframe.delivery.nesting import delivering
from evframe.delivery.ordering import BEHIND
from evframe.delivery.queues import ByteQueue, queue_of
from evframe.delivery.retries import RetryTimer
from evframe.delivery.room import Room
from evframe.delivery.sockets import Socket
from evframe.delivery.subscribers import Subscriber, plugin_of
from evframe.events.event import Event
from evframe.exceptions import DeliveryError, PluginError, Rejected, Unavailable

_TURN_S: Final = 0.005  # one pass over the ready subscribers; then the loop serves its sockets
_MANY: Final = 512  # waiting for more events is useless from here on: the batch costs little for each event
_Late = tuple[Subscriber, Batch, object, BaseException | None]


class Delivery:
    """Moves events from the queues to the transports; never blocks the code that raises an event.

    Args:
        core: how large a queue may be, what happens to an event that finds no room, and how long
            a subscriber that has ended may take for what was raised before.
        on_end: called once when such a subscriber has no events left.
        on_change: called when deliveries to a subscriber begin to fail, with the reason, and with
            None when they work again.
        on_replaced: called with the previous socket when a subscriber gets another one.
    """

    def __init__(
        self,
        core: CoreOptions,
        *,
        on_end: Callable[[Subscriber], None],
        on_change: Callable[[Subscriber, str | None], None],
        on_replaced: Callable[[Subscriber, Socket], None],
    ) -> None:
        self._on_end = on_end
        self._on_replaced = on_replaced
        self._ready: deque[Subscriber] = deque()
        self._scheduled = False
        self._is_fresh = False  # the next event may be sent at once: it is the first of a turn that probably has few
        self._late: _Late | None = None  # the batch that was sent at once and has no recorded outcome yet
        self._loop: asyncio.AbstractEventLoop | None = None
        # Callbacks of the loop run in a context of the delivery; otherwise the first raise would lend them its context.
        self._context = contextvars.Context()
        self._context.run(delivering.set, True)
        self._under_way: dict[Subscriber, dict[asyncio.Future[None], Batch]] = {}
        self._probes: dict[Subscriber, asyncio.Future[None]] = {}
        self._number = 0
        self.room = Room()
        """Callers that raise with `overflow = "block"` wait here."""
        self._failures = Failures(on_change)
        self.retries = RetryTimer(core.retries_per_s, self._resume, self._context)
        """The subscribers that wait for their next attempt."""
        self._ends = Ends(self._cut, self._context)
        self._gathering = Gathering(self._gathered, self._context)
        self._closed = False
        self.configure(core)

    def configure(self, core: CoreOptions) -> None:
        """Set the bounds of queues that are opened from now on."""
        self._queue_size = core.queue_size
        self._queue_bytes = core.queue_bytes
        self.put = self._put_weighed if core.queue_bytes else self._put
        """Queues an event for each of some subscribers; the caller is on the loop's thread."""
        self._drop_oldest = core.overflow == "drop_oldest"
        self.room.is_used = core.overflow == "block"
        self.room.announce()
        self.retries.per_s = core.retries_per_s
        self.end_timeout_s = core.drain_timeout_s

    def start(self) -> None:
        """Begin to deliver on the running loop."""
        self._loop = asyncio.get_running_loop()
        self.retries.start(self._loop)
        self._ends.start(self._loop)
        self._is_fresh = True
        self.schedule()

    def _put(self, subscribers: Sequence[Subscriber], event: Event) -> None:
        for subscriber in subscribers:
            subscriber.raised += 1
            if self._is_fresh and subscriber.idle and subscriber.transport.at_once and _is_well(subscriber):
                self._hand_over(subscriber, event)
                continue
            queue = subscriber.queue
            if len(queue) < subscriber.room:
                queue.append(event)  # type: ignore[union-attr]
            else:
                self._overflow(subscriber, event)
            if subscriber.idle:
                subscriber.idle = False
                subscriber.queued = True
                self._ready.append(subscriber)
                if not self._scheduled:
                    self.schedule()

    def _put_weighed(self, subscribers: Sequence[Subscriber], event: Event) -> None:
        """Queue *event* where its bytes fit, too; `_put` does not count bytes and stays fast."""
        for subscriber in subscribers:
            queue = subscriber.queue
            if isinstance(queue, ByteQueue) and subscriber.room and not queue.has_room_for(event):
                subscriber.raised += 1
                self._overflow(subscriber, event)
            else:
                self._put((subscriber,), event)

    def schedule(self) -> None:
        """Have the queues flushed in the next turn of the loop."""
        if self._loop is not None and self._ready and not self._scheduled:
            self._scheduled = True
            self._is_fresh = False
            self._loop.call_soon(self._flush, context=self._context)

    def _hand_over(self, subscriber: Subscriber, event: Event) -> None:
        """Deliver the first event of a turn at once, without the queue and without a pass over the subscribers.

        With one event in a turn, the queue would take a third of the delivery's time. Later events of the turn wait in
        the queues and form batches. The limit `at_once` promises that `deliver` runs no foreign code. Steps that may
        run foreign code, such as the report of a failure, wait for the next turn.
        """
        assert self._loop is not None
        self._is_fresh = False
        self._scheduled = True
        self._loop.call_soon(self._flush, context=self._context)
        self._number += 1
        batch = Batch((event,), self._number)
        subscriber.idle = False
        subscriber.in_flight += 1
        subscriber.batches += 1
        result: Any = None
        problem: BaseException | None = None
        try:
            result = subscriber.transport.deliver(subscriber.socket, batch)
        except BaseException as error:  # noqa: BLE001 as in `_pump`
            problem = error
        # A finaliser may have raised an event in the meantime, or ended the subscriber or given it another socket.
        if result is not True or batch.failures or subscriber.queue or subscriber.ended or subscriber.held:
            self._late = (subscriber, batch, result, problem)
            problem = None  # the error's context has a traceback with this frame, and would form a cycle
            if not subscriber.room:  # the event may come back, and then needs a queue
                subscriber.room = self._queue_size
                subscriber.queue = queue_of((), self._queue_bytes)
        else:
            subscriber.batches = subscriber.in_flight = 0
            subscriber.delivered += 1
            subscriber.idle = True

    def _take_late(self) -> None:
        if self._late is not None:
            (subscriber, batch, result, problem), self._late = self._late, None
            if problem is None:
                self._take(subscriber, batch, result)
            else:
                self._break(subscriber, batch, problem)

    def _overflow(self, subscriber: Subscriber, event: Event) -> None:
        if self._closed:
            subscriber.settle(event, "shutdown")
        elif not subscriber.room:
            subscriber.room = self._queue_size
            subscriber.queue = queue_of((event,), self._queue_bytes)
        else:
            if self._drop_oldest:
                queue = subscriber.queue
                assert isinstance(queue, deque)
                subscriber.settle(queue.popleft(), "queue_full")
                while isinstance(queue, ByteQueue) and not queue.has_room_for(event):
                    subscriber.settle(queue.popleft(), "queue_full")
                queue.append(event)
            else:
                subscriber.settle(event, "queue_full")
            self._failures.lost(subscriber, (event,), "queue_full")

    def _flush(self) -> None:
        self._scheduled = False
        if self._loop is None or self._closed:
            return
        ready = self._ready
        if not ready and self._late is None:  # the only event of the last turn was sent at once
            self._is_fresh = True
            return
        # In a burst, sending the first event at once would cost an extra system call: 2 to 6 % of fifty events.
        has_few = not ready or (len(ready) == 1 and len(ready[0].queue) == 1)
        until = time.monotonic() + _TURN_S
        try:
            self._take_late()
            for _ in range(len(ready)):
                self._pump(ready.popleft())
                if time.monotonic() > until:
                    break
        finally:
            self._is_fresh = has_few and not ready
            self.schedule()
            self.room.announce()

    def _pump(self, subscriber: Subscriber) -> None:
        """Hand one batch of a subscriber to its transport."""
        subscriber.queued = False
        queue = subscriber.queue
        if subscriber.returned is not None or not isinstance(queue, deque) or not queue:
            self._again(subscriber)
            return
        if subscriber.batches:
            if subscriber.held:
                return  # the batch under way was sent by the previous transport or socket: wait for its end
            if any(future.done() for future in self._under_way[subscriber]):
                return  # a finished batch may have failed; to keep the order, wait for its callback in this turn
        transport = subscriber.transport
        if len(queue) <= transport.batch_events:
            events: Sequence[Event] = tuple(queue)
            queue.clear()
        else:
            events = [queue.popleft() for _ in range(transport.batch_events)]
        self._number += 1
        batch = Batch(events, self._number)
        subscriber.in_flight += len(events)
        subscriber.batches += 1
        try:
            result = transport.deliver(subscriber.socket, batch)
        except BaseException as error:  # noqa: BLE001 a plugin's error is an outcome, never ours
            self._break(subscriber, batch, error)
            return
        self._take(subscriber, batch, result)

    def _take(self, subscriber: Subscriber, batch: Batch, result: object) -> None:
        """Handle the result of `deliver`."""
        if result is True:
            self._finish(subscriber, batch, None)
        elif isinstance(result, Awaitable):
            self._follow(subscriber, batch, result)
            if subscriber.transport.gathers and _may_gather(subscriber) and self._loop is not None:
                self._gathering.add(subscriber, self._loop)
            elif _has_room(subscriber):
                self._again(subscriber)
        else:
            problem = TypeError(f"deliver: expected True or an awaitable, got {result!r}")
            self._finish(subscriber, batch, problem)

    def _break(self, subscriber: Subscriber, batch: Batch, error: BaseException) -> None:
        """Record the outcome of a call that raised."""
        self._finish(subscriber, batch, error)
        if comes_from_outside(error):
            raise error
        error.__traceback__ = None  # with a hook wrapper round the call, pluggy keeps the error in a cycle

    def _gathered(self, subscriber: Subscriber) -> None:
        """Hand over the events that a subscriber has gathered, or mark the subscriber idle."""
        may_go = not subscriber.batches or _has_room(subscriber)
        if may_go and not subscriber.idle and subscriber not in self._probes:
            self._again(subscriber)

    def _follow(self, subscriber: Subscriber, batch: Batch, result: Awaitable[None]) -> None:
        """Record the outcomes when *result* ends."""
        assert self._loop is not None
        future = result if asyncio.isfuture(result) else self._loop.create_task(contained(result))
        under_way = self._under_way.setdefault(subscriber, {})
        under_way[future] = batch

        def over(future: asyncio.Future[None]) -> None:
            is_counted = under_way.pop(future, None) is None
            if not under_way:
                self._under_way.pop(subscriber, None)
            if isinstance(result, Coroutine):
                result.close()  # a task that was cancelled early never began it, and Python would warn
            error = None if future.cancelled() else future.exception()
            if is_counted:
                return
            if not future.cancelled():
                self._finish(subscriber, batch, error)
            elif self._closed or subscriber.ended:
                self._finish(subscriber, batch, Rejected("shutdown" if self._closed else "unsubscribed"))
            else:
                self._finish(subscriber, batch, asyncio.CancelledError())

        future.add_done_callback(over, context=self._context)

    def probe(self, subscriber: Subscriber, question: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """Run *question* about the peer of an idle subscriber in the place of a batch; events wait for its end.

        *question* raises Unavailable when the peer cannot be reached.
        """
        assert self._loop is not None
        self._number += 1
        subscriber.idle = False
        subscriber.batches += 1
        probe = self._probes[subscriber] = self._context.copy().run(self._loop.create_task, question)
        probe.add_done_callback(lambda _: self._probes.pop(subscriber, None), context=self._context)
        self._follow(subscriber, Batch((), self._number), probe)
        return probe

    def _again(self, subscriber: Subscriber) -> None:
        """Hand over the queued events in the next turn, or stay idle until an event is queued."""
        if subscriber.returned is not None or subscriber.queued:
            return
        if subscriber.queue and not self._closed:
            subscriber.idle = False
            subscriber.queued = True
            self._ready.append(subscriber)
            self.schedule()
            return
        subscriber.idle = True
        if subscriber.ended and not subscriber.in_flight and not subscriber.queue:
            self._ends.discard(subscriber)
            self._failures.forget(subscriber)
            self._on_end(subscriber)

    def rest(self, subscriber: Subscriber) -> None:
        """Release an idle subscriber that has ended, now that the last of its events has an outcome."""
        self._again(subscriber)

    def replace(self, subscriber: Subscriber, socket: Socket) -> None:
        """Deliver to *socket*, which differs in a secret, once the batches under way are over."""
        subscriber.successor = socket
        subscriber.held = True
        if not subscriber.batches:
            self._free(subscriber)

    def _free(self, subscriber: Subscriber) -> None:
        """End a hold, now that nothing is under way."""
        subscriber.held = False
        successor, subscriber.successor = subscriber.successor, None
        if successor is not None:
            before, subscriber.socket = subscriber.socket, successor
            self._on_replaced(subscriber, before)

    def _finish(self, subscriber: Subscriber, batch: Batch, error: BaseException | None) -> None:
        """Record the outcomes of a batch that is over."""
        # A caller that waits for an outcome raises its next event afterwards; gathering would delay that event.
        gathers = subscriber in self._gathering and _may_gather(subscriber)
        subscriber.batches -= 1
        if subscriber.held and not subscriber.batches:
            self._free(subscriber)
        if error is None:
            count = len(batch.events)
            subscriber.in_flight -= count
            if subscriber.attempts:
                self._is_back(subscriber)
            if subscriber.failing and not batch.failures:
                self._failures.works(subscriber, batch.events)
            if batch.failures or subscriber.waiting is not None:
                _settle_each(subscriber, batch)
            else:
                subscriber.delivered += count
        else:
            self._fall_back(subscriber, batch, error)
        if batch.failures:
            self._failures.lost(subscriber, batch.events, next(iter(batch.failures.values())), batch.error)
        if subscriber.returned is None:
            if not gathers:
                self._again(subscriber)
        elif not subscriber.batches:
            self._retreat(subscriber)

    def _fall_back(self, subscriber: Subscriber, batch: Batch, error: BaseException) -> None:
        """Settle the events that have an outcome; keep the others for a retry, or count them as failed."""
        error = _checked(subscriber, batch, error)
        known = isinstance(error, DeliveryError)
        reason = error.reason if isinstance(error, DeliveryError) else "plugin_error"
        done = error.done if isinstance(error, DeliveryError) else 0
        keeps = isinstance(error, Unavailable) and not subscriber.ended and not self._closed
        kept: list[Event] = []
        for index, event in enumerate(batch.events):
            if index in batch.failures:
                subscriber.settle(event, batch.failures[index])
            elif index < done or index in batch.confirmed:
                subscriber.settle(event, None)
            elif keeps:
                kept.append(event)
            else:
                subscriber.settle(event, reason)
        subscriber.in_flight -= len(batch.events) - len(kept)
        if not keeps:
            if not self._closed:
                self._failures.lost(subscriber, batch.events, reason, None if known else error)
            return
        if subscriber.attempts and (done or batch.confirmed):
            self._is_back(subscriber)
        if subscriber.returned is None:
            subscriber.returned = []
        subscriber.returned.append((batch.number, kept))
        subscriber.idle = False
        if reason != BEHIND:  # the reason is that of the batch before
            self._is_away(subscriber, batch, reason)

    def _is_away(self, subscriber: Subscriber, batch: Batch, reason: str) -> None:
        is_known = subscriber.away == reason and not batch.events  # by an earlier probe
        subscriber.away = reason
        subscriber.reached = False
        if not is_known:
            self._failures.away(subscriber, batch.events, reason)

    def _is_back(self, subscriber: Subscriber) -> None:
        subscriber.attempts = 0
        subscriber.away = None
        self._failures.back(subscriber)

    def _retreat(self, subscriber: Subscriber) -> None:
        """Put the events that came back before the rest of the queue, in their order, and retry later."""
        queue = subscriber.queue
        assert subscriber.returned is not None
        for _, kept in sorted(subscriber.returned, key=lambda entry: entry[0], reverse=True):
            subscriber.in_flight -= len(kept)
            if isinstance(queue, deque):  # without a queue no event was raised: the batch was a probe
                queue.extendleft(reversed(kept))
        subscriber.returned.clear()
        subscriber.attempts += 1
        if subscriber.on_away is not None:
            subscriber.returned = None
            subscriber.on_away(subscriber.away or "away")
            self._again(subscriber)
        elif subscriber.ended and not queue:
            self._resume(subscriber)
        elif self._loop is not None:
            self.retries.add(subscriber, delay_s(subscriber.attempts), is_first=subscriber.attempts == 1)

    def _resume(self, subscriber: Subscriber) -> None:
        subscriber.returned = None
        self._again(subscriber)

    def end(self, subscriber: Subscriber) -> None:
        """Release a subscriber without leases, once the events that were raised for it are delivered."""
        subscriber.ended = True
        self.room.announce()
        probe = self._probes.get(subscriber)
        if probe is not None:
            probe.cancel()
        if subscriber.idle:
            self._again(subscriber)
        if subscriber.in_flight or not subscriber.idle:
            self._ends.add(subscriber, self.end_timeout_s)

    def _cut(self, subscriber: Subscriber) -> None:
        """Drop the events that a subscriber which has ended did not take in time; its queue is empty."""
        for _, kept in subscriber.returned or ():  # the retries might never end
            subscriber.in_flight -= len(kept)
            for event in kept:
                subscriber.settle(event, "unsubscribed")
            kept.clear()
        futures = list(self._under_way.get(subscriber, ()))
        for future in futures:
            future.cancel()
        if futures and self._loop is not None:
            self._loop.call_later(LATE_S, cancel_again, futures)
        if self.retries.discard(subscriber):
            self._resume(subscriber)

    async def drain(self, subscribers: Iterable[Subscriber], timeout_s: float) -> None:
        """Deliver what is queued within *timeout_s* seconds; count the rest as `shutdown`."""
        subscribers = list(subscribers)
        await emptied(subscribers, timeout_s)
        self._take_late()
        self._closed = True
        self._is_fresh = False
        self._gathering.stop()  # its subscribers need not wait for more events
        for subscriber in subscribers:
            subscriber.room = 0
        self._ends.stop()
        await cancel([future for futures in self._under_way.values() for future in futures], max(1.0, timeout_s))
        self._give_up()
        await lose(subscribers, "shutdown")
        await self.room.close()
        self.retries.stop()
        self._loop = None

    def _give_up(self) -> None:
        """Count the events of deliveries that ignore their cancellation as failed; nothing waits for them any more."""
        for subscriber, under_way in list(self._under_way.items()):
            for future, batch in list(under_way.items()):
                if not future.done():
                    del under_way[future]
                    self._finish(subscriber, batch, Rejected("shutdown"))


def _is_well(subscriber: Subscriber) -> bool:
    """Return whether a delivery to an idle *subscriber* changes nothing but its counters."""
    return (
        subscriber.waiting is None
        and subscriber.returned is None
        and not (subscriber.batches or subscriber.attempts or subscriber.failing)
    )


def _has_room(subscriber: Subscriber) -> bool:
    """Return whether another batch of *subscriber* may be under way beside those that are."""
    transport = subscriber.transport
    has_room = subscriber.in_flight < transport.in_flight and subscriber.batches < transport.in_flight_batches
    return has_room and not subscriber.attempts


def _settle_each(subscriber: Subscriber, batch: Batch) -> None:
    """Record the outcome of each event of a batch that did not come back."""
    failures = batch.failures
    for index, event in enumerate(batch.events):
        subscriber.settle(event, failures.get(index))


def _may_gather(subscriber: Subscriber) -> bool:
    """Return whether the next batch of *subscriber* may wait for more events."""
    return subscriber.waiting is None and not subscriber.ended and len(subscriber.queue) < _MANY


def _checked(subscriber: Subscriber, batch: Batch, error: BaseException) -> BaseException:
    """Return *error*, or a PluginError when its outcomes do not fit *batch*, whose events may have arrived or not."""
    broken = batch.broken_by(error.done) if isinstance(error, DeliveryError) else None
    return error if broken is None else PluginError(f"plugin {plugin_of(subscriber)!r}, hook 'deliver': {broken}")
