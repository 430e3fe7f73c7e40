"""Whose turn it is: gives the subscribers with events their turns, a batch in each, and follows the batches."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from evframe_timing import RetryTimer
from evframe_wire.backoff import delay_s

from evframe.calls import comes_from_outside, contained
from evframe.config import CoreOptions
from evframe.delivery.batch import Batch
from evframe.delivery.carrier import Carrier
from evframe.delivery.ending import LATE_S, Ends, cancel, cancel_again, emptied, lose
from evframe.delivery.gathering import Gathering
from evframe.delivery.nesting import delivering
from evframe.delivery.reports import Reports
from evframe.delivery.room import Room
from evframe.delivery.sockets import Socket
from evframe.delivery.subscriber import QueueSettings, State, Subscriber, queuing
from evframe.events.event import Event
from evframe.exceptions import Rejected

log = logging.getLogger("evframe.delivery")
_TURN_S: Final = 0.005  # one pass over the ready subscribers; then the loop serves its sockets
_QUEUED: Final = State.QUEUED
Observer = Callable[[Socket, Batch, BaseException | None, float], None]
"""Called with each batch that is over: its socket, its error if it failed as a whole, and the seconds that it took."""
_Late = tuple[Subscriber, Batch, object, BaseException | None]


class Scheduler:
    """Moves events from the queues to the transports; never blocks the code that raises an event.

    Args:
        core: how large a queue may be, what happens to an event that finds no room, and how long
            a subscriber that has ended may take for what was raised before.
        on_end: called once when such a subscriber has no events left.
        on_change: called when deliveries to a subscriber begin to fail, with the reason
            and the event, and with None for both when they work again.
        on_replaced: called with the previous socket when a subscriber gets another one.
        on_dead: called with events that have failed for good; see `evframe.delivery.subscriber.Reporter`.
    """

    def __init__(
        self,
        core: CoreOptions,
        *,
        on_end: Callable[[Subscriber], None],
        on_change: Callable[[Subscriber, str | None, Event | None], None],
        on_replaced: Callable[[Subscriber, Socket], None],
        on_dead: Callable[[Subscriber, Sequence[Event], Sequence[str], BaseException | None], None],
    ) -> None:
        self._on_end = on_end
        self.on_replaced = on_replaced
        """For `Subscriber.replace` and `Subscriber.subscribe`."""
        self._ready: deque[Subscriber] = deque()
        self._scheduled = False
        self._put_all = queuing(self.get_turn)
        self.put: Callable[[Sequence[Subscriber], Event], None] = self._put_all
        """Queues an event for each of several subscribers; the caller is on the loop's thread.

        It is another function while the next event may be sent at once, because it is the first of a
        turn that probably has few. Read the attribute for each event.
        """
        self._late: _Late | None = None  # the batch that was sent at once and has no recorded outcome yet
        self._unreported: tuple[Socket, Batch, float] | None = None  # such a batch that was delivered
        self._loop: asyncio.AbstractEventLoop | None = None
        # Callbacks of the loop run in a context of the delivery; otherwise the first raise would lend them its context.
        self._context = contextvars.Context()
        self._context.run(delivering.set, True)
        self._under_way: dict[Subscriber, dict[Batch, asyncio.Future[None]]] = {}
        self._probes: dict[Subscriber, asyncio.Future[Any]] = {}
        self._number = 0
        self.room = Room()
        """Callers that raise with `overflow = "block"` wait here."""
        self._reports = Reports(on_change, on_dead)
        self._queues = QueueSettings(self._reports)
        self.retries = RetryTimer(core.retries_per_s, self._resume, self._context)
        """The subscribers that wait for their next attempt."""
        self._ends = Ends(self._cut, self._context)
        self._observers: list[Observer] = []  # changed in single steps, because any thread may do so
        self._gathering = Gathering(self._gathered, self._context)
        self.configure(core)

    def configure(self, core: CoreOptions) -> None:
        """Set the bounds of queues that are opened from now on; see `Subscriber.set_bounds` for the others."""
        self._queues.room, self._queues.most_bytes = core.queue_size, core.queue_bytes
        self._queues.drops_oldest = core.overflow == "drop_oldest"
        self._queues.blocks = self.room.is_used = core.overflow == "block"
        self.room.release_all()
        self.retries.per_s = core.retries_per_s
        self.end_timeout_s = core.drain_timeout_s

    @property
    def is_closed(self) -> bool:
        """Whether `drain` has ended the deliveries."""
        return self._queues.is_closed

    def open(
        self, socket: Socket, carrier: Carrier, text: str = "", on_away: Callable[[str], None] | None = None
    ) -> Subscriber:
        """Return a new subscriber; see `Subscriber`."""
        return Subscriber(socket, carrier, text, self._queues, on_away)

    def start(self) -> None:
        """Begin to deliver on the running loop."""
        self._loop = asyncio.get_running_loop()
        self.retries.alarm.start()
        self._ends.start(self.end_timeout_s)
        self._gathering.alarm.start(rings=False)
        self.put = self._send_or_queue
        self._schedule()

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call *observer* with each batch that is over; return what ends this.

        It is called on the loop, when each event of the batch has its outcome or waits for the next
        attempt. Batches that ended by a cancellation, and probes, are not reported. An error that it raises is logged.
        This, and what it returns, may be called on any thread.
        """
        self._observers.append(observer)

        def stop() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return stop

    def wake(self, subscriber: Subscriber) -> None:
        """Give an idle subscriber a turn: events have come into its queue from elsewhere."""
        if subscriber.state is State.IDLE:
            self._proceed(subscriber)

    # Events that come

    def _send_or_queue(self, subscribers: Sequence[Subscriber], event: Event) -> None:
        """As `put`, for the first event of a turn."""
        first = subscribers[0]
        if first.transport.limits.at_once and self._send_at_once(first, (event,)):
            subscribers = subscribers[1:]
        self._put_all(subscribers, event)

    def get_turn(self, subscriber: Subscriber) -> None:
        """Let *subscriber* have a turn, as `Subscriber.put` says that it needs one."""
        self._ready.append(subscriber)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        """Have the ready subscribers served in the next turn of the loop."""
        if self._loop is not None and self._ready and not self._scheduled:
            self._scheduled = True
            self.put = self._put_all
            self._loop.call_soon(self._flush, context=self._context)

    def _send_at_once(self, subscriber: Subscriber, events: tuple[Event]) -> bool:
        """Deliver the first event of a turn at once, without the queue and without a pass over the subscribers.

        Return False, and do nothing, when the subscriber is not at rest, or a finaliser has raised an event meanwhile.

        With one event in a turn, the queue would take a third of the delivery's time. Later events of the turn wait in
        the queues and form batches. The limit `at_once` promises that `deliver` runs no foreign code. Steps that may
        run foreign code, such as the report of a failure, wait for the next turn.
        """
        assert self._loop is not None
        if self._scheduled or not subscriber.is_well:
            return False
        self.put = self._put_all  # and the subscriber is under way, before memory is requested: a finaliser may raise
        self._scheduled = True
        self._number += 1
        batch = subscriber.begin_unqueued(events, self._number)
        self._loop.call_soon(self._flush, context=self._context)
        if self._observers:
            batch.began_at = time.monotonic()
        result: Any = None
        problem: BaseException | None = None
        try:
            result = subscriber.transport.deliver(subscriber.socket, batch)
        except BaseException as error:  # noqa: BLE001 as in `_deliver`
            problem = error
        if result is not True or not subscriber.finish_at_once(batch):
            self._late = (subscriber, batch, result, problem)
            problem = None  # the error's context has a traceback with this frame, and would form a cycle
        elif batch.began_at is not None:
            self._unreported = (subscriber.socket, batch, time.monotonic() - batch.began_at)
        return True

    # Turns

    def _flush(self) -> None:
        self._scheduled = False
        if self._loop is None or self._queues.is_closed:
            return
        if self._unreported is not None:
            self._report_late()
        ready = self._ready
        if not ready and self._late is None:  # the only event of the last turn was sent at once
            self.put = self._send_or_queue
            return
        # In a burst, sending the first event at once would cost an extra system call: 2 to 6 % of fifty events.
        has_few = not ready or (len(ready) == 1 and len(ready[0].queue) == 1)
        until = time.monotonic() + _TURN_S
        try:
            if self._late is not None:
                self._take_late()
            for _ in range(len(ready)):
                self._deliver(ready.popleft())
                if time.monotonic() > until:
                    break
        finally:
            self.put = self._send_or_queue if has_few and not ready else self._put_all
            self._schedule()
            if self.room.is_used:
                self.room.announce()

    def _take_late(self) -> None:
        if self._late is not None:
            (subscriber, batch, result, problem), self._late = self._late, None
            if problem is None:
                self._take(subscriber, batch, result)
            else:
                self._break(subscriber, batch, problem)

    def _report_late(self) -> None:
        if self._unreported is not None:
            (socket, batch, seconds), self._unreported = self._unreported, None
            self._report(socket, batch, None, seconds)

    def _deliver(self, subscriber: Subscriber) -> None:
        """Give a subscriber its turn: hand one batch to its transport."""
        if subscriber.state is not _QUEUED:
            return  # something has ended its wait for this turn
        if subscriber.batches and any(future.done() for future in self._under_way[subscriber].values()):
            subscriber.resume()  # a finished batch may have failed; its callback, in this turn, keeps the order
            return
        self._number += 1
        batch = subscriber.begin(self._number)
        if batch is None:
            self._proceed(subscriber)
            return
        if self._observers:
            batch.began_at = time.monotonic()
        try:
            result = subscriber.transport.deliver(subscriber.socket, batch)
        except BaseException as error:  # noqa: BLE001 a plugin's error is an outcome, never ours
            self._break(subscriber, batch, error)
            return
        is_simple = result is True and not subscriber.transport.limits.gathers
        if not is_simple or not subscriber.finish_simply(batch):
            self._take(subscriber, batch, result)
            return
        if batch.began_at is not None:
            self._report(subscriber.socket, batch, None, time.monotonic() - batch.began_at)
        if subscriber.queue.is_own:
            self._proceed(subscriber)

    def _proceed(self, subscriber: Subscriber) -> None:
        """Let a subscriber wait for its next turn, or be idle, or end."""
        if subscriber.proceed():
            self.get_turn(subscriber)
        elif subscriber.is_over:
            self._ends.discard(subscriber)
            self._reports.forget(subscriber)
            subscriber.release()
            self._on_end(subscriber)

    # Batches under way

    def _take(self, subscriber: Subscriber, batch: Batch, result: object) -> None:
        """Handle the result of `deliver`."""
        if result is True:
            self._finish(subscriber, batch, None)
        elif asyncio.isfuture(result) or isinstance(result, Awaitable):
            self._follow(subscriber, batch, result)
            if subscriber.transport.limits.gathers and subscriber.may_gather:
                self._gathering.add(subscriber)
            elif subscriber.may_send_more:
                self._proceed(subscriber)
        else:
            self._finish(subscriber, batch, TypeError(f"deliver: expected True or an awaitable, got {result!r}"))

    def _break(self, subscriber: Subscriber, batch: Batch, error: BaseException) -> None:
        """Record the outcome of a call that raised."""
        self._finish(subscriber, batch, error)
        if comes_from_outside(error):
            raise error
        error.__traceback__ = None  # with a hook wrapper round the call, pluggy keeps the error in a cycle

    def _gathered(self, subscriber: Subscriber) -> None:
        """Give a turn to a subscriber that has gathered events, or let it be idle."""
        may_proceed = not subscriber.batches or subscriber.may_send_more
        if may_proceed and subscriber.state is State.SENDING and subscriber not in self._probes:
            self._proceed(subscriber)

    def _follow(self, subscriber: Subscriber, batch: Batch, result: Awaitable[None]) -> None:
        """Record the outcomes when *result* ends."""
        assert self._loop is not None
        coroutine: Coroutine[Any, Any, None] | None = None
        if asyncio.isfuture(result):
            future = result
        else:
            future = self._loop.create_task(contained(result))
            coroutine = result if isinstance(result, Coroutine) else None
        under_way = self._under_way.setdefault(subscriber, {})
        under_way[batch] = future  # a transport may return one future for several batches

        def over(future: asyncio.Future[None]) -> None:
            is_counted = under_way.pop(batch, None) is None
            if not under_way:
                self._under_way.pop(subscriber, None)
            if coroutine is not None:
                coroutine.close()  # a task that was cancelled early never began it, and Python would warn
            error = asyncio.CancelledError() if future.cancelled() else future.exception()
            if is_counted:
                return
            if future.cancelled():
                batch.began_at = None  # the time says nothing about the peer
                if self._queues.is_closed or subscriber.ended:
                    error = Rejected("shutdown" if self._queues.is_closed else "unsubscribed")
            self._finish(subscriber, batch, error)

        future.add_done_callback(over, context=self._context)

    def _finish(self, subscriber: Subscriber, batch: Batch, error: BaseException | None) -> None:
        """Record the outcomes of a batch that is over, and decide what the subscriber does next."""
        # A caller that waits for an outcome raises its next event afterwards; gathering would delay that event.
        gathers = subscriber.transport.limits.gathers and subscriber in self._gathering and subscriber.may_gather
        subscriber.finish(batch, error)
        if batch.began_at is not None:
            self._report(subscriber.socket, batch, error, time.monotonic() - batch.began_at)
        if subscriber.state is State.AWAY:
            if not subscriber.batches:
                self._retreat(subscriber)
        elif not gathers:
            self._proceed(subscriber)

    def _report(self, socket: Socket, batch: Batch, error: BaseException | None, seconds: float) -> None:
        for observer in tuple(self._observers):  # one may end its own observation
            try:
                observer(socket, batch, error, seconds)
            except BaseException as problem:
                if comes_from_outside(problem):
                    raise
                log.exception("an observer of deliveries raised an error", extra={"socket": socket.canonical})

    def probe(self, subscriber: Subscriber, question: Coroutine[Any, Any, object]) -> asyncio.Future[Any]:
        """Run *question* about the peer of an idle subscriber in the place of a batch; events wait for its end.

        *question* raises Unavailable when the peer cannot be reached.
        """
        assert self._loop is not None
        self._number += 1
        batch = subscriber.begin_unqueued((), self._number)
        probe = self._probes[subscriber] = self._context.copy().run(self._loop.create_task, question)
        probe.add_done_callback(lambda _: self._probes.pop(subscriber, None), context=self._context)
        probe.add_done_callback(lambda _: question.close())  # which a task that is cancelled early never begins
        self._follow(subscriber, batch, probe)
        return probe

    # Peers that cannot be reached

    def _retreat(self, subscriber: Subscriber) -> None:
        """Give back what came back, and retry later."""
        subscriber.give_back()
        if subscriber.on_away is not None:
            subscriber.on_away(subscriber.away or "away")
            self._resume(subscriber)
        elif subscriber.ended and not subscriber.queue:
            self._resume(subscriber)
        elif self._loop is not None:
            self.retries.add(subscriber, delay_s(subscriber.attempts), is_first=subscriber.attempts == 1)

    def _resume(self, subscriber: Subscriber) -> None:
        subscriber.resume()
        self._proceed(subscriber)

    # Ends

    def end(self, subscriber: Subscriber) -> None:
        """Release a subscriber without leases, once the events that were raised for it are delivered."""
        subscriber.end()
        self.room.release(subscriber)
        probe = self._probes.get(subscriber)
        if probe is not None:
            probe.cancel()
        if subscriber.is_over:
            self._proceed(subscriber)
        else:
            self._ends.add(subscriber, self.end_timeout_s)

    def _cut(self, subscriber: Subscriber) -> None:
        """Drop the events that a subscriber which has ended did not take in time; its queue is empty."""
        subscriber.fail_returned("unsubscribed")
        futures = list(self._under_way.get(subscriber, {}).values())
        for future in futures:
            future.cancel()
        if futures and self._loop is not None:
            self._loop.call_later(LATE_S, cancel_again, futures)
        if self.retries.discard(subscriber):
            self._resume(subscriber)
        elif subscriber.is_over:  # its events have waited without a turn
            self._proceed(subscriber)

    async def drain(self, present: Callable[[], Sequence[Subscriber]], timeout_s: float) -> None:
        """Deliver what is queued within *timeout_s* seconds; count the rest as `shutdown`.

        *present* returns the subscribers, more of which may come until the time is over.
        """
        await emptied(lambda: [each for each in present() if not each.queue.is_kept], timeout_s)
        self._report_late()
        self._take_late()
        self._queues.is_closed = True
        self.put = self._put_all
        self._gathering.release()  # its subscribers need not wait for more events
        subscribers = present()  # one that comes from now on takes no events
        for subscriber in subscribers:
            subscriber.close()
        self._ends.stop()
        futures = [future for under_way in self._under_way.values() for future in under_way.values()]
        await cancel(futures, max(1.0, timeout_s))
        self._give_up()
        await lose([each for each in subscribers if not each.queue.is_kept], "shutdown")
        await self.room.close()
        self.retries.alarm.stop()
        self._gathering.alarm.stop()
        self._loop = None

    def _give_up(self) -> None:
        """Count the events of deliveries that ignore their cancellation as failed; nothing waits for them any more."""
        for subscriber, under_way in list(self._under_way.items()):
            for batch, future in list(under_way.items()):
                if not future.done():
                    del under_way[batch]
                    self._finish(subscriber, batch, Rejected("shutdown"))
