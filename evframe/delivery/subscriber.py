"""A subscriber: one socket with its queue, its state and its counters, and the number of leases that keep it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from evframe.config.policy import NONE as NO_POLICY
from evframe.config.policy import Policy
from evframe.delivery.batch import Batch
from evframe.delivery.ordering import BEHIND
from evframe.delivery.queues import NO_DONES, UNOPENED, Done, Queue, QueueFull, bounded, open_queue
from evframe.delivery.sockets import shown_socket
from evframe.exceptions import DeliveryError, PluginError, Unavailable

if TYPE_CHECKING:
    from evframe.delivery.carrier import Carrier
    from evframe.delivery.sockets import Socket
    from evframe.events.event import Event

_MANY: Final = 512  # waiting for more events is useless from here on: the batch costs little for each event
_MOST_KEPT: Final = 8192  # events of a kept subscriber under way before the next batch waits: a crash repeats them
_Outcome = tuple[str | None, Done | None]  # None when the event is delivered, or why not; and what is called with it


class State(Enum):
    """What a subscriber does, and what its next event waits for."""

    IDLE = "No event waits. The next event gets a turn, or is sent at once."
    QUEUED = "Events wait for the turn of the subscriber."
    SENDING = "Batches are under way; the next events wait for their end, or a moment for others."
    HELD = "No batch begins until those under way are over, because the socket or the transport is exchanged then."
    AWAY = "A batch came back. No batch begins until those under way are over and the next attempt is due."
    OVER = "Released: an event that comes yet fails, because nothing would deliver it."


_REFUSED: Final = UNOPENED.append  # never called, because the queue has no room
_IDLE: Final = State.IDLE  # an attribute of an enumeration takes longer to read, for every event
_QUEUED: Final = State.QUEUED
_SENDING: Final = State.SENDING


class Reporter(Protocol):
    """Reports what happens to the deliveries of subscribers."""

    @property
    def changed(self) -> Callable[[Subscriber, str | None, Event | None], None]:
        """Called with a reason and an event when deliveries begin to fail, and with None when they work again."""

    def lost(self, subscriber: Subscriber, reason: str, error: BaseException | None) -> None:
        """Report that events were lost."""

    @property
    def dead(self) -> Callable[[Subscriber, Sequence[Event], Sequence[str], BaseException | None], None]:
        """Called with events that have failed for good, and their reasons, when the policy wants dead letters."""

    def away(self, subscriber: Subscriber, reason: str) -> None:
        """Report that the peer cannot be reached and that its events wait."""

    def back(self, subscriber: Subscriber) -> None:
        """Report that a peer that was away accepts events again."""


@attrs.define(eq=False)
class QueueSettings:
    """What all subscribers of an interface share."""

    reports: Reporter
    """Reports losses, and peers that are away and back."""
    room: int = 0
    """How many events may wait for each subscriber."""
    most_bytes: int = 0
    """How many bytes may wait for each subscriber; 0 for any number."""
    drops_oldest: bool = False
    """Whether an event that finds no room takes the place of the oldest one."""
    blocks: bool = False
    """Whether callers that can wait do so until there is room."""
    is_closed: bool = False
    """Whether the delivery has ended: an event that comes now fails with the reason `shutdown`."""


class Subscriber:
    """Everything that is delivered to one socket.

    The methods of this class alone change its attributes. raised = delivered + failed + depth, and
    for a member of a combined subscriber also + handed_over. Each event is delivered, failed or
    handed over once. The queue is opened at the first event, so that idle subscriptions stay small.

    Args:
        socket: where the events go.
        carrier: the transport of the socket.
        text: the socket as it was subscribed, with its secrets.
        settings: shared with the other subscribers.
        on_away: called with the reason instead of a retry, when the peer cannot be reached.
    """

    __slots__ = (
        "_settings",
        "_then",
        "append",
        "attempts",
        "awaited",
        "away",
        "batches",
        "changed_at",
        "delivered",
        "ended",
        "failed",
        "failing",
        "handed_over",
        "in_flight",
        "last_failure",
        "leases",
        "on_away",
        "policy",
        "queue",
        "raised",
        "reached",
        "reasons",
        "returned",
        "socket",
        "state",
        "successor",
        "text",
        "transport",
    )

    def __init__(
        self,
        socket: Socket,
        carrier: Carrier,
        text: str,
        settings: QueueSettings,
        on_away: Callable[[str], None] | None = None,
    ) -> None:
        self.socket = socket
        self.text = text
        self.policy = NO_POLICY  # what the configuration and all leases say
        self.transport = carrier
        self.leases = 0
        self.ended = False  # without leases: what was raised before is still delivered
        self.state = State.IDLE
        self.queue: Queue = UNOPENED
        self.append: Callable[[Event], None] = (
            _REFUSED  # the queue's: to look the method up would take a tenth of what an event costs
        )
        self.returned: tuple[tuple[int, Sequence[Event], Mapping[int, Done]], ...] = ()  # of batches that came back
        self.batches = 0  # under way
        self.in_flight = 0  # the events of these batches, and of those that came back
        self.awaited = 0  # events whose outcome somebody waits for
        self.successor: Socket | None = None  # takes the place of the socket when nothing is under way
        self.attempts = 0  # that have failed since the last success
        self.away: str | None = None  # why the peer cannot be reached
        self.changed_at = monotonic()  # when the peer was found to be away, or reached, or the subscriber was made
        self.reached = False  # whether the last probe reached the peer
        self.failing = False  # deliveries fail, and this was reported
        self.on_away = on_away
        self.raised = 0
        self.delivered = 0
        self.failed = 0
        self.handed_over = 0
        self.reasons: dict[str, int] | None = None
        self.last_failure: tuple[str, float] | None = None  # its reason, and when it was on the monotonic clock
        self._settings = settings
        self._then: tuple[Callable[[], None], ...] = ()

    @property
    def depth(self) -> int:
        """How many events wait or are under way."""
        return len(self.queue) + self.queue.stored + self.in_flight

    # Leases

    def add_lease(self) -> None:
        """Count a lease; a subscriber that has ended continues."""
        self.leases += 1
        self.ended = False

    def remove_lease(self) -> None:
        """Uncount a lease."""
        self.leases -= 1

    def end(self) -> None:
        """Stop to retry what cannot be delivered: no lease, listener or member needs the subscriber any more."""
        self.ended = True

    @property
    def is_over(self) -> bool:
        """Whether the subscriber has ended and each of its events has its outcome."""
        return self.ended and self.state is _IDLE and not self.depth

    def release(self) -> None:
        """Take no more events, and drop the reference to the owner of a member, which has one to the member."""
        self.state = State.OVER
        self.queue, self.append = UNOPENED, _REFUSED
        self.on_away = None

    # Events that come

    def put(self, event: Event, done: Done) -> bool:
        """Queue *event*; return whether the subscriber needs a turn now. `queuing` is for events without a callback.

        Args:
            event: to be delivered.
            done: called with its outcome.
        """
        self.raised += 1
        self.awaited += 1
        queue = self.queue
        try:
            if len(queue) >= queue.room:
                raise QueueFull
            self.append(event)
            queue.track(done)
        except QueueFull:
            if not self._make_room(event, done):
                return False
        if self.state is not _IDLE:
            return False
        self.state = _QUEUED
        return True

    def _make_room(self, event: Event, done: Done | None) -> bool:
        """Queue an event that finds no room, or count it as failed; return whether events wait in memory for a turn."""
        settings = self._settings
        if self.queue is UNOPENED and not settings.is_closed:
            self._open()
            if self.queue.has_room_for(event):  # unless a finaliser has raised events meanwhile
                self._append(event, done)
                return True
        if settings.is_closed or self.state is State.OVER:
            self._fail_one(event, "shutdown" if settings.is_closed else "unsubscribed", done)
            return False
        if self.queue.spill(event):
            if done is not None:
                self.queue.track(done)
            return bool(self.queue)  # an event that waits elsewhere needs no turn
        drops_oldest = settings.drops_oldest and not self.queue.is_own
        if drops_oldest:
            dropped = []
            while not self.queue.has_room_for(event):
                dropped.append(self.queue.take(self.queue.overflow_of(event), 0))
                self.queue.settle(0, ())
            self._append(event, done)  # before a callback of those that are dropped raises another event
            for events, dones in dropped:
                self._fail_all(events, dones, "queue_full")
        else:
            self._fail_one(event, "queue_full", done)
        self._report_loss((event,), "queue_full")
        return drops_oldest

    def _open(self) -> None:
        queue = open_queue(self._settings.room, self._settings.most_bytes)
        append = queue.append
        # A finaliser that ran for the memory of these may have raised an event, or released the subscriber.
        if self.queue is UNOPENED and self.state is not State.OVER:
            self.queue, self.append = queue, append

    def follow(self, policy: Policy) -> Policy:
        """Have another policy; return the one before."""
        before, self.policy = self.policy, policy
        return before

    def use(self, queue: Queue) -> None:
        """Have events wait in *queue*, which has those that wait, and perhaps those of an earlier process."""
        before = self.depth
        self.queue, self.append = queue, queue.append
        self.count_found(self.depth - before)

    def count_found(self, count: int) -> None:
        """Count *count* events of an earlier process, which the queue has, as raised."""
        self.raised += count

    def await_all(self) -> None:
        """Call the callbacks that the queue has for its events, also for those that no caller waits for."""
        self.awaited = sys.maxsize

    def opened(self) -> Queue:
        """Return the queue, which is opened if no event has come yet."""
        if self.queue is UNOPENED and not self._settings.is_closed:
            self._open()
        return self.queue

    def _append(self, event: Event, done: Done | None) -> None:
        self.queue.append(event)
        if done is not None:
            self.queue.track(done)

    def refuse(self, event: Event, reason: str, done: Done | None = None) -> None:
        """Count an event that is not queued at all as raised and failed with *reason*."""
        self.raised += 1
        self.awaited += done is not None
        self._fail_one(event, reason, done)

    def refuse_unknown(self, count: int, reason: str) -> None:
        """Count *count* events that do not exist any more as raised and failed with *reason*."""
        self.raised += count
        self.fail(count, reason)

    def has_room_for(self, event: Event) -> bool:
        """Return whether *event* would be queued without a loss."""
        return self.queue is UNOPENED or self.queue.has_room_for(event)

    def blocks(self, event: Event) -> bool:
        """Return whether callers that can wait do so before *event* is raised, because there is no room for it."""
        return (self._settings.blocks or self.queue.is_own) and not self.has_room_for(event)

    def set_bounds(self) -> None:
        """Apply the bounds of the settings; a queue that is above keeps its events."""
        before = self.queue
        if before.is_own:
            before.configure(self._settings.room, self.policy)
        elif before is not UNOPENED and not self._settings.is_closed:
            queue = bounded(before, self._settings.room, self._settings.most_bytes)
            self.queue, self.append = queue, queue.append
            if self.queue is not before:
                self.queue.give_back(0, *before.take(len(before), 0))

    def take_back(self) -> Queue:
        """Remove all events that no batch has begun from this subscriber, which does not count them as failed."""
        queue, self.queue, self.append = self.queue, UNOPENED, _REFUSED
        self.handed_over += len(queue)
        self.awaited -= len(queue)  # each event of a member has a callback
        return queue

    # Batches

    @property
    def is_well(self) -> bool:
        """Whether a delivery of the next event changes nothing but counters: nothing is under way or has failed."""
        is_well = not (self.batches or self.attempts or self.failing or self.awaited)
        return is_well and self.state is _IDLE and not self.queue.is_own

    @property
    def may_send_more(self) -> bool:
        """Whether another batch may begin beside those under way."""
        limits = self.transport.limits
        most = min(limits.in_flight, _MOST_KEPT) if self.queue.is_kept else limits.in_flight
        has_room = self.in_flight < most and self.batches < limits.in_flight_batches
        return has_room and not self.attempts

    @property
    def may_gather(self) -> bool:
        """Whether the next batch may wait for more events."""
        return not self.awaited and not self.ended and len(self.queue) < _MANY

    def begin(self, number: int) -> Batch | None:
        """Return the next batch, which is under way from now on; None when no event waits any more."""
        events, dones = self.queue.take(self.transport.limits.batch_events, number)
        self.state = _SENDING
        if not events:
            return None
        self.in_flight += len(events)
        self.batches += 1
        return Batch(events, number, dones, self.queue)

    def begin_unqueued(self, events: Sequence[Event], number: int) -> Batch:
        """Return a batch of *events* that do not go through the queue: one, sent at once, or none for a probe."""
        self.raised += len(events)
        self.state = _SENDING
        self.in_flight += len(events)
        self.batches += 1
        return Batch(events, number, NO_DONES, self.queue)

    def finish_at_once(self, batch: Batch) -> bool:
        """Count the event of *batch*, which was sent at once, as delivered.

        Return False, and change nothing, when more is to be done: `deliver` has failed the event, or
        a finaliser that ran within has raised another one, ended the subscriber, or exchanged its socket, or
        it is the first event, which shows that the peer can be reached.
        """
        if batch.failures or self.state is not _SENDING or self.queue or self.ended or not self.delivered:
            return False
        self.batches = self.in_flight = 0
        self.delivered += 1
        self.state = _IDLE
        return True

    def finish_simply(self, batch: Batch) -> bool:
        """Count the events of *batch*, the only one under way, as delivered.

        The subscriber is idle then, unless its queue has rules: `proceed` is to be called for that one.
        Return False, and change nothing, when more is to be done, as in `finish_at_once`, or after a failure.
        """
        has_more = self.attempts or self.failing or self._then or self.ended or self.batches > 1 or batch.failures
        if has_more or self.state is not _SENDING or self.queue or not self.delivered:
            return False
        self.delivered += self.in_flight
        self.batches = self.in_flight = 0
        if self.queue.is_own:
            self.queue.settle(batch.number, ())  # which may bring other events
        else:
            self.state = _IDLE
        if batch.dones:
            self.awaited -= len(batch.dones)
            for done in batch.dones.values():
                done(None)
        return True

    def proceed(self) -> bool:
        """Wait for a turn if events wait, or be idle; return whether the subscriber needs a turn now."""
        if self.state is not _SENDING and self.state is not _IDLE:
            return False
        if self.queue and not self._settings.is_closed:
            self.state = _QUEUED
            return True
        self.state = _IDLE
        return False

    def finish(self, batch: Batch, error: BaseException | None) -> None:
        """Record the outcomes of *batch*: each event is delivered, has failed, or comes back for the next attempt."""
        self.batches -= 1
        is_new = not (self.delivered or self.reached)
        outcomes = self._finish_whole(batch) if error is None else self._finish_broken(batch, error)
        if is_new and self.delivered and self.away is None:
            self.changed_at = monotonic()
        if outcomes:
            self._call(outcomes)
        if batch.failures:
            self._report_loss(batch.events, next(iter(batch.failures.values())), batch.error)
        if self._then and not self.batches:
            self._free()

    def _finish_whole(self, batch: Batch) -> list[_Outcome]:
        """Count the outcomes of a batch that did not fail as a whole; return those to report."""
        count = len(batch.events)
        self.in_flight -= count
        if self.queue.is_own:
            self.queue.settle(batch.number, ())
        if batch.failures:
            outcomes: list[_Outcome] = [(batch.failures.get(i), batch.dones.get(i)) for i in range(count)]
            self._count(outcomes)
            self._record(batch.events, outcomes, batch.error)
        else:
            outcomes = [(None, done) for done in batch.dones.values()]
            self.delivered += count
        if self.attempts:
            self._is_back()
        if self.failing and not batch.failures:
            self._report_success(batch.events)
        return outcomes

    def _finish_broken(self, batch: Batch, error: BaseException) -> list[_Outcome]:
        """Count the events that have an outcome, and return it; keep the others for the next attempt, or fail them."""
        error = self._checked(batch, error)
        is_known = isinstance(error, DeliveryError)
        reason = error.reason if isinstance(error, DeliveryError) else "plugin_error"
        head = error.done if isinstance(error, DeliveryError) else 0
        is_closed = self._settings.is_closed
        retries = not self.ended and (self.queue.is_kept if is_closed else isinstance(error, Unavailable))
        outcomes: list[_Outcome] = []
        kept: list[int] = []
        dones: dict[int, Done] = {}
        for index in range(len(batch.events)):
            done = batch.dones.get(index)
            if index in batch.failures:
                outcomes.append((batch.failures[index], done))
            elif index < head or index in batch.confirmed:
                outcomes.append((None, done))
            elif not retries:
                outcomes.append((reason, done))
            else:
                if done is not None:
                    dones[len(kept)] = done
                kept.append(index)
        self.in_flight -= len(outcomes)
        self.queue.settle(batch.number, kept)
        self._count(outcomes)
        back = set(kept)
        self._record([event for i, event in enumerate(batch.events) if i not in back], outcomes, batch.error or error)
        if retries:
            if self.attempts and (head or batch.confirmed):
                self._is_back()
            self._keep(batch, [batch.events[index] for index in kept], dones, reason)
        elif not is_closed:
            self._report_loss(batch.events, reason, None if is_known else error)
        return outcomes

    def _keep(self, batch: Batch, kept: Sequence[Event], dones: Mapping[int, Done], reason: str) -> None:
        """Keep what came back of *batch* for the next attempt."""
        self.returned = (*self.returned, (batch.number, kept, dones))
        self.state = State.AWAY
        if reason != BEHIND and not self._settings.is_closed:  # the reason is that of the batch before
            self._is_away(batch, reason)

    def _checked(self, batch: Batch, error: BaseException) -> BaseException:
        """Return *error*, or a PluginError when its outcomes do not fit *batch*, whose events may have arrived."""
        broken = batch.broken_by(error.done) if isinstance(error, DeliveryError) else None
        name = getattr(self.transport, "name", "")
        return error if broken is None else PluginError(f"plugin {name!r}, hook 'deliver': {broken}")

    # A peer that cannot be reached

    def withdraw(self) -> None:
        """Begin no further batch; what follows when those under way are over is the same as when one came back."""
        self.state = State.AWAY

    def give_back(self) -> None:
        """Put the events of the batches that came back before the others, in their order; none is under way."""
        for number, events, dones in sorted(self.returned, key=lambda entry: entry[0], reverse=True):
            self.in_flight -= len(events)
            if events:
                if self.queue is UNOPENED:
                    self._open()
                self.queue.give_back(number, events, dones)
        self.returned = ()
        self.attempts += 1

    def resume(self) -> None:
        """End the wait for a turn or for the next attempt; `proceed` follows."""
        self.state = _SENDING

    def record_probe(self, problem: str | None) -> None:
        """Keep the result of a probe: why the peer cannot be reached, or None when it can."""
        if problem is None and not (self.delivered or self.reached):
            self.changed_at = monotonic()
        self.reached = problem is None

    def _is_away(self, batch: Batch, reason: str) -> None:
        is_known = self.away == reason and not batch.events  # by an earlier probe
        if self.away is None:
            self.changed_at = monotonic()
        self.away = reason
        self.reached = False
        if not is_known:
            self._report_failure(batch.events, reason)
            self._settings.reports.away(self, reason)

    def _is_back(self) -> None:
        self.attempts = 0
        self.away = None
        self.changed_at = monotonic()
        self._settings.reports.back(self)

    # Exchanges of the socket or the transport

    def hold(self, then: Callable[[], None]) -> None:
        """Begin no batch until those under way are over, then call *then*; at once when none is."""
        if not self.batches:
            then()
            return
        self._then = (*self._then, then)
        if self.state is not State.AWAY:
            self.state = State.HELD

    def replace(self, socket: Socket, on_replaced: Callable[[Subscriber, Socket], None]) -> None:
        """Deliver to *socket*, which differs in a secret, once the batches under way are over.

        Args:
            socket: the other one.
            on_replaced: called with the previous socket.
        """

        def swap() -> None:
            successor, self.successor = self.successor, None
            if successor is not None:
                before, self.socket = self.socket, successor
                on_replaced(self, before)

        self.successor = socket
        self.hold(swap)

    def adopt(self, socket: Socket) -> None:
        """Deliver the next batches to *socket*, which another transport object has parsed from the same text."""
        self.socket = socket

    def subscribe(
        self, socket: Socket, text: str, *, is_same: bool, on_replaced: Callable[[Subscriber, Socket], None]
    ) -> None:
        """Take the socket of a subscription, whose canonical text is that of the present one.

        Args:
            socket: of the subscription.
            text: as it was subscribed, with its secrets.
            is_same: whether the two texts cannot differ in a secret.
            on_replaced: see `replace`.
        """
        if not self.text or self.socket == socket or is_same:
            if self.successor is None:
                text = self.text or text  # the text of the first subscription has the secrets
            if self.socket != socket or shown_socket(self.socket) == shown_socket(socket):
                self.socket = socket  # else it would be listed in another way than it was subscribed first
            self.successor = None
        else:
            self.replace(socket, on_replaced)
        self.text = text

    def _free(self) -> None:
        if self.state is State.HELD:
            self.state = _SENDING
        then, self._then = self._then, ()
        for call in then:
            call()

    # Outcomes

    def _fail_one(self, event: Event, reason: str, done: Done | None) -> None:
        """Count one event as failed."""
        self._fail_all((event,), NO_DONES if done is None else {0: done}, reason)

    def _record(self, events: Iterable[Event], outcomes: Iterable[_Outcome], error: BaseException | None) -> None:
        """Report the events that have failed for good, where the policy wants that."""
        if self.policy.dead_letter:
            failed = [(event, reason) for event, (reason, _) in zip(events, outcomes, strict=True) if reason]
            self._report_dead([event for event, _ in failed], [reason for _, reason in failed], error)

    def _report_dead(self, events: Sequence[Event], reasons: Sequence[str], error: BaseException | None = None) -> None:
        if events and self.keeps(reasons[0]):  # events that found no room are reported apart from others
            self._settings.reports.dead(self, events, reasons, error)

    def keeps(self, reason: str) -> bool:
        """Whether events that have failed for good with *reason* become dead letters."""
        policy = self.policy
        return bool(policy.dead_letter) or (policy.when_full == "dead_letter" and reason == "queue_full")

    def _count(self, outcomes: Iterable[_Outcome]) -> None:
        for reason, _ in outcomes:
            if reason is None:
                self.delivered += 1
            else:
                self.fail(1, reason)

    def _call(self, outcomes: Sequence[_Outcome]) -> None:
        """Call the callbacks of *outcomes*, which are counted already: one may read counters, raise and unsubscribe."""
        if self.awaited:
            dones = [(done, reason) for reason, done in outcomes if done is not None]
            self.awaited -= len(dones)
            for done, reason in dones:
                done(reason)

    def fail(self, count: int, reason: str) -> None:
        """Count *count* events as failed with *reason*."""
        self.failed += count
        self.last_failure = reason, monotonic()
        self.reasons = self.reasons or {}
        self.reasons[reason] = self.reasons.get(reason, 0) + count

    def mirror(self, delivered: int, away: str | None) -> None:
        """Take over what another process finds: *delivered* events more, and why the peer cannot be reached."""
        self.delivered += delivered
        if away != self.away:
            self.away, self.changed_at = away, monotonic()

    def call_with(self, reason: str | None, dones: Sequence[Done]) -> None:
        """Call *dones* with the outcome *reason* of events that are counted, and that the queue has no more."""
        self._call([(reason, done) for done in dones])

    def fail_waiting(self, reason: str, most: int = sys.maxsize) -> int:
        """Count at most *most* waiting events, the oldest first, as failed; return how many these were."""
        events, dones = self.queue.take(most, 0)
        self.queue.settle(0, ())
        self._fail_all(events, dones, reason)
        if self.queue.stored and not self.queue:
            self.queue.drop_stored(reason)
        return len(events)

    def fail_returned(self, reason: str) -> None:
        """Count the events of the batches that came back as failed; the retries might never end."""
        returned, self.returned = self.returned, ()
        for number, events, dones in returned:
            self.in_flight -= len(events)
            self.queue.settle(number, ())
            self._fail_all(events, dones, reason)

    def fail_events(self, events: Sequence[Event], dones: Mapping[int, Done], reason: str) -> None:
        """Count *events*, which the queue gives up, as failed with *reason*, and report the loss.

        Args:
            events: they are not in the queue any more.
            dones: what is called with the outcomes, by index.
            reason: why.
        """
        self._fail_all(events, dones, reason)
        self._report_loss(events, reason)

    def _fail_all(self, events: Sequence[Event], dones: Mapping[int, Done], reason: str) -> None:
        if events:
            self.fail(len(events), reason)
            self._report_dead(events, [reason] * len(events))
            self._call([(reason, done) for done in dones.values()])

    def close(self) -> None:
        """Take no more events."""
        if self.queue is not UNOPENED:
            self.queue.close()

    # Reports

    def _report_loss(self, events: Sequence[Event], reason: str, error: BaseException | None = None) -> None:
        if reason != "unsubscribed" and events:  # a probe has no events
            self._report_failure(events, reason)
            self._settings.reports.lost(self, reason, error)

    def _report_failure(self, events: Sequence[Event], reason: str) -> None:
        if not self.failing and not self.ended and not _are_meta(events):
            self.failing = True
            self._settings.reports.changed(self, reason, events[0] if events else None)

    def _report_success(self, events: Sequence[Event]) -> None:
        # A slow subscriber loses and takes events in turn; report success only when its queue is half empty again.
        if self.queue.room >= 2 * len(self.queue) and not _are_meta(events):
            self.failing = False
            self._settings.reports.changed(self, None, None)


def queuing(get_turn: Callable[[Subscriber], None]) -> Callable[[Iterable[Subscriber], Event], None]:
    """Return a function that queues an event for several subscribers.

    It is on the way of every event: a call for each subscriber would take a third of the time.

    Args:
        get_turn: called with each subscriber that needs a turn now.
    """

    def put_all(subscribers: Iterable[Subscriber], event: Event) -> None:
        for subscriber in subscribers:
            subscriber.raised += 1
            queue = subscriber.queue
            size = len(queue)
            if size < queue.room:
                try:
                    subscriber.append(event)
                except QueueFull:
                    if not subscriber._make_room(event, None):  # noqa: SLF001 the class is of this module
                        continue
            elif not subscriber._make_room(event, None):  # noqa: SLF001 as above
                continue
            if not size and subscriber.state is _IDLE:  # an idle subscriber has no event in memory
                subscriber.state = _QUEUED
                get_turn(subscriber)

    return put_all


def _are_meta(events: Sequence[Event]) -> bool:
    return all(event.definition.is_meta for event in events)
