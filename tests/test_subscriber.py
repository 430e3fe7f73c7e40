"""A subscriber against a model: random schedules of events, batches, failures, exchanges and ends."""

import ast
import sys
from collections import deque
from itertools import pairwise
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from evframe.delivery.limits import Limits
from evframe.delivery.queues import ByteQueue, MemoryQueue, bounded
from evframe.delivery.reports import Reports
from evframe.delivery.subscriber import QueueSettings, State, Subscriber, queuing
from evframe.events.event import EventRegistry
from evframe.exceptions import Rejected, Unavailable

ROOT = Path(__file__).parents[1]
DEFINITION = EventRegistry().register("E")


class Wire:
    """A transport with the limits of a schedule; the schedule delivers."""

    name = "wire"

    def __init__(self, batch_events, in_flight):
        self.limits = Limits(batch_events=batch_events, in_flight=in_flight)


class Peer:
    """A socket."""

    expires = True

    def __init__(self, canonical):
        self.canonical = canonical


class SubscriberMachine(RuleBasedStateMachine):
    """Calls a subscriber as the scheduler does, in any order; the model knows where each event is."""

    def __init__(self):
        super().__init__()
        self.changes = []
        reports = Reports(lambda _, reason, event: self.changes.append(reason), lambda *_: None)
        self.settings = QueueSettings(reports, room=6)
        self.subscriber = Subscriber(Peer("wire:1"), Wire(3, 8), "wire:1", self.settings)
        self.raised = 0
        self.places = {}  # number -> "waits", "under way", "delivered", a reason, or "handed over"
        self.done = {}  # number -> the outcomes that its callback got
        self.under_way = []
        self.given = []  # the events of all batches, in order
        self.replaced = []
        self.due = 0  # turns; one that a hold or a failure has made stale may stay
        self.number = 0

    # events

    def event(self, size=1):
        self.raised += 1
        return DEFINITION.snapshot([self.raised, "x" * size], 0.0)

    def put(self, event, done):
        number = event.params[0]
        before = self.waiting()
        if done is None:
            ready = deque()
            queuing(ready.append)((self.subscriber,), event)
            turn = len(ready)
        else:
            turn = self.subscriber.put(event, done)
        dropped = []
        if self.settings.is_closed:
            self.places[number] = "shutdown"
        else:
            self.places[number] = "waits"
            if self.settings.drops_oldest:
                kept = self.waiting_numbers()
                dropped = [other for other in before if other not in kept]
            elif len(before) >= self.settings.room or self.is_too_heavy(before, event):
                dropped = [number]
        for other in dropped:
            self.places[other] = "queue_full"
        self.due += turn

    def is_too_heavy(self, before, event):
        most = self.settings.most_bytes
        return bool(most and before) and sum(before.values()) + len(event.payload) > most

    def waiting(self):
        return {event.params[0]: len(event.payload) for event in self.subscriber.queue}

    def waiting_numbers(self):
        return set(self.waiting())

    @rule(size=st.integers(0, 60))
    def comes(self, size):  # an event is raised
        self.put(self.event(size), None)

    @rule(size=st.integers(0, 60))
    def comes_awaited(self, size):  # an event is raised, and its outcome awaited
        event = self.event(size)
        self.done[event.params[0]] = outcomes = []
        self.put(event, outcomes.append)

    @rule(count=st.integers(1, 3))
    def is_refused(self, count):  # events are counted as failed without a place in the queue
        for _ in range(count):
            self.raised += 1
            self.places[self.raised] = "nesting"
        self.subscriber.refuse_unknown(count, "nesting")

    # turns

    @precondition(lambda self: self.due)
    @rule(postpones=st.booleans(), delivers=st.booleans())
    def turns(self, postpones, delivers):  # the turn of the subscriber comes; the transport may deliver at once
        self.due -= 1
        subscriber = self.subscriber
        if subscriber.state is not State.QUEUED:
            return
        if postpones and subscriber.batches:
            subscriber.resume()
            return
        self.number += 1
        batch = subscriber.begin(self.number)
        if batch is None:
            assert not subscriber.queue
            self.proceed()
            return
        assert len(batch.events) <= 3
        for event in batch.events:
            assert self.places[event.params[0]] == "waits"
            self.places[event.params[0]] = "under way"
        self.under_way.append(batch)
        self.given.append([event.params[0] for event in batch.events])
        if delivers and subscriber.finish_simply(batch):
            self.under_way.remove(batch)
            self.places.update((event.params[0], None) for event in batch.events)
            return
        if subscriber.may_send_more:
            self.proceed()

    def proceed(self):
        self.due += self.subscriber.proceed()

    @precondition(lambda self: self.subscriber.is_well and not self.settings.is_closed)
    @rule(raises=st.booleans(), fails=st.booleans())
    def comes_at_once(
        self, raises, fails
    ):  # an event is delivered within its raise, in which another one may be raised
        self.number += 1
        event = self.event()
        number = event.params[0]
        batch = self.subscriber.begin_unqueued((event,), self.number)
        if raises:
            self.put(self.event(), None)
        if fails:
            batch.fail(0, "too_large")
        is_first = not self.subscriber.delivered
        is_over = self.subscriber.finish_at_once(batch)
        assert is_over == (not raises and not fails and not self.subscriber.ended and not is_first)
        if not is_over:
            self.places[number] = "under way"
            self.under_way.append(batch)
            self.ends(batch, None)
        else:
            self.places[number] = None

    @precondition(lambda self: self.subscriber.state is State.IDLE and not self.subscriber.batches)
    @rule(problem=st.sampled_from([None, "refused"]))
    def is_probed(self, problem):  # an empty batch finds out whether the peer can be reached
        self.number += 1
        batch = self.subscriber.begin_unqueued((), self.number)
        self.subscriber.record_probe(problem)
        self.under_way.append(batch)
        self.ends(batch, None if problem is None else Unavailable(problem))

    # ends of batches

    def ends(self, batch, error, head=0):
        self.under_way.remove(batch)
        subscriber = self.subscriber
        retries = isinstance(error, Unavailable) and not subscriber.ended and not self.settings.is_closed
        for index, event in enumerate(batch.events):
            number = event.params[0]
            if index in batch.failures:
                self.places[number] = batch.failures[index]
            elif error is None or index < head or index in batch.confirmed:
                self.places[number] = None
            else:
                self.places[number] = "came back" if retries else getattr(error, "reason", "plugin_error")
        subscriber.finish(batch, error)
        if subscriber.state is not State.AWAY:
            self.proceed()
        elif not subscriber.batches:
            self.gives_back()

    def gives_back(self):
        subscriber = self.subscriber
        back = sorted(number for number, place in self.places.items() if place == "came back")
        waiting = list(self.waiting())
        subscriber.give_back()
        assert list(self.waiting()) == back + waiting  # in the order of raising
        for number in back:
            self.places[number] = "waits"

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 10), failed=st.sets(st.integers(0, 2)))
    def succeeds(self, which, failed):  # a batch is over; some of its events may have failed
        batch = self.under_way[which % len(self.under_way)]
        for index in failed:
            if index < len(batch.events):
                batch.fail(index, "too_large")
        self.ends(batch, None)

    @precondition(lambda self: self.under_way)
    @rule(
        which=st.integers(0, 10),
        kind=st.sampled_from([Unavailable, Unavailable, Rejected, ValueError]),
        confirmed=st.sets(st.integers(0, 2)),
        failed=st.sets(st.integers(0, 2)),
        head=st.integers(0, 2),
    )
    def breaks(
        self, which, kind, confirmed, failed, head
    ):  # a batch fails as a whole, with the outcomes of some events known
        batch = self.under_way[which % len(self.under_way)]
        count = len(batch.events)
        for index in confirmed:
            if index < count:
                batch.confirm(index)
        for index in failed - confirmed:
            if index < count:
                batch.fail(index, "too_large")
        head = min(head, count)
        if kind is ValueError:
            self.ends(batch, ValueError("broken"))
        else:
            self.ends(batch, kind("refused", done=head), head)

    @precondition(lambda self: len(self.under_way) > 1)
    @rule(order=st.randoms())
    def all_come_back(self, order):  # the connection ends: every batch under way comes back, in any order
        batches = list(self.under_way)
        order.shuffle(batches)
        for batch in batches:
            self.ends(batch, Unavailable("refused"))

    @precondition(lambda self: self.subscriber.state is State.AWAY and not self.under_way)
    @rule()
    def is_due(self):  # the next attempt is due
        self.subscriber.resume()
        self.proceed()

    # exchanges, members, ends

    @rule(which=st.integers(0, 3))
    def is_replaced(self, which):  # another socket takes the place of the present one, when nothing is under way
        socket = Peer(f"wire:{which}")
        self.subscriber.replace(socket, lambda _, before: self.replaced.append((before, bool(self.under_way))))

    @precondition(lambda self: self.subscriber.state is not State.AWAY or self.subscriber.batches)
    @rule()
    def is_withdrawn(self):  # a member begins no further batch
        if self.under_way:
            self.subscriber.withdraw()

    @precondition(lambda self: all(number in self.done for number in self.waiting()))
    @rule()
    def is_taken_back(self):  # what waits goes to another member
        queue = self.subscriber.take_back()
        events, dones = queue.take(sys.maxsize, 0)
        for index, event in enumerate(events):
            self.places[event.params[0]] = "handed over"
            dones[index]("handed over")

    @rule()
    def ends_and_returns(self):  # the last lease ends, or another one is made
        if self.subscriber.ended:
            self.subscriber.add_lease()
        else:
            self.subscriber.end()

    @precondition(lambda self: self.subscriber.ended)
    @rule(most=st.integers(1, 10))
    def is_cut(self, most):  # what an ended subscriber did not take in time fails
        for number in list(self.waiting())[:most]:
            self.places[number] = "unsubscribed"
        self.subscriber.fail_waiting("unsubscribed", most)
        if not self.waiting():
            for number, place in self.places.items():
                if place == "came back":
                    self.places[number] = "unsubscribed"
            self.subscriber.fail_returned("unsubscribed")

    @rule(room=st.integers(1, 8), most_bytes=st.sampled_from([0, 0, 150, 400]), drops_oldest=st.booleans())
    def has_other_bounds(self, room, most_bytes, drops_oldest):  # a reload changes the bounds
        waiting = list(self.waiting())
        self.settings.room, self.settings.most_bytes, self.settings.drops_oldest = room, most_bytes, drops_oldest
        if not self.settings.is_closed:
            self.subscriber.set_bounds()
        assert list(self.waiting()) == waiting

    @precondition(lambda self: self.number > 20)
    @rule()
    def is_closed(self):  # the delivery ends
        self.settings.is_closed = True
        self.subscriber.close()

    # what always holds

    @invariant()
    def every_event_is_counted_once(
        self,
    ):  # raised = delivered + failed + handed over + depth, and each reason has its number
        subscriber = self.subscriber
        places = list(self.places.values())
        under_way = sum(place in {"under way", "came back"} for place in places)
        waits = places.count("waits")
        reasons = {place for place in places if place} - {"waits", "under way", "came back", "handed over"}
        assert subscriber.raised == len(places) == self.raised
        assert subscriber.delivered == places.count(None)
        assert subscriber.handed_over == places.count("handed over")
        assert (subscriber.reasons or {}) == {reason: places.count(reason) for reason in reasons}
        assert subscriber.failed == sum((subscriber.reasons or {}).values())
        assert (len(subscriber.queue), subscriber.in_flight) == (waits, under_way)
        assert subscriber.depth == waits + under_way
        assert subscriber.batches == len(self.under_way)
        if isinstance(subscriber.queue, ByteQueue):
            assert subscriber.queue.bytes == sum(self.waiting().values())

    @invariant()
    def every_callback_is_called_once(self):  # a callback gets the outcome of its event, and that once
        open_ = 0
        for number, outcomes in self.done.items():
            place = self.places[number]
            is_open = place in {"waits", "under way", "came back"}
            assert outcomes == ([] if is_open else [place])
            open_ += is_open
        assert self.subscriber.awaited == open_

    @invariant()
    def order_is_kept(self):  # what waits is in the order of raising
        waiting = list(self.waiting())
        assert all(one < other for one, other in pairwise(waiting))

    @invariant()
    def states_are_true(
        self,
    ):  # a subscriber with events that may begin has a turn; none begins while it is held or away
        subscriber = self.subscriber
        if subscriber.state is State.QUEUED:
            assert self.due
        if subscriber.state is State.IDLE and not self.settings.is_closed:
            assert not subscriber.queue
        if subscriber.state is State.HELD:
            assert self.under_way
        if subscriber.successor is not None:
            assert self.under_way
        if subscriber.state is State.SENDING:
            assert self.under_way or self.settings.is_closed
        assert not any(is_under_way for _, is_under_way in self.replaced)
        if subscriber.is_over:
            assert not subscriber.depth


TestSubscriber = SubscriberMachine.TestCase
TestSubscriber.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def test_other_bounds_keep_the_callbacks():
    """A queue that gets another kind of bound keeps its events with their callbacks."""
    queue, outcomes = MemoryQueue(4), []
    for number in range(3):
        queue.append(DEFINITION.snapshot([number], 0.0))
    queue.track(outcomes.append)
    queue.take(1, 0)
    for room, most_bytes in ((2, 10**6), (5, 0)):
        before, queue = queue, bounded(queue, room, most_bytes)
        queue.give_back(0, *before.take(len(before), 0))
        assert (len(queue), queue.room) == (2, room)
    events, dones = queue.take(10, 0)
    assert ([event.params[0] for event in events], list(dones)) == ([1, 2], [1])


def test_the_oldest_event_of_a_queue_has_a_time():
    """A queue shows when its first event was raised; what is taken does not count until it is given back."""
    queue = MemoryQueue(4)
    assert queue.oldest is None
    for at in (3.0, 4.0):
        queue.append(DEFINITION.snapshot([at], at))
    assert queue.oldest == 3.0
    events, dones = queue.take(1, 1)
    assert queue.oldest == 4.0
    queue.give_back(1, events, dones)
    assert queue.oldest == 3.0


def test_the_time_of_a_change_of_state():
    """It is that of the first delivery or probe that reached the peer, and of each beginning and end of an absence."""

    def is_changed():
        at, times[0] = times[0], subscriber.changed_at
        return subscriber.changed_at > at

    def deliver(error=None):
        subscriber.put(DEFINITION.snapshot([1], 0.0), lambda _: None)
        subscriber.finish(subscriber.begin(1), error)
        if subscriber.state is State.AWAY:
            subscriber.give_back()
            subscriber.resume()
        return is_changed()

    settings_ = QueueSettings(Reports(lambda *_: None, lambda *_: None), room=6)
    subscriber = Subscriber(Peer("wire:1"), Wire(3, 8), "wire:1", settings_)
    times = [subscriber.changed_at]

    assert [deliver(error) for error in (None, None, Rejected("no_route"))] == [True, False, False]
    reason, failed_at = subscriber.last_failure
    assert (reason, failed_at >= times[0]) == ("no_route", True)
    assert [deliver(error) for error in (Unavailable("refused"), Unavailable("timeout"), None)] == [True, False, True]
    subscriber.record_probe(None)
    assert not is_changed()
    probed = subscriber = Subscriber(Peer("wire:1"), Wire(3, 8), "wire:1", settings_)
    times = [probed.changed_at]
    probed.record_probe(None)
    assert is_changed()
    assert not deliver()


def test_a_subscriber_alone_changes_its_attributes():
    """No other module assigns an attribute of a subscriber, or changes what one holds."""
    writers = []
    for path in [*ROOT.glob("evframe/**/*.py"), *ROOT.glob("plugins/*/evframe_*/**/*.py")]:
        if path.name == "subscriber.py":  # of the core
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                for each in ast.walk(target) if isinstance(target, ast.AST) else ():
                    is_other = isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
                    is_one = is_other and each.attr in Subscriber.__slots__
                    if is_one and ast.unparse(each.value).split(".")[-1] in {"subscriber", "target"}:
                        writers.append(f"{path.relative_to(ROOT)}:{each.lineno} {ast.unparse(each)}")
    assert writers == []
