"""The limited queue against a model: random schedules of raises, batches, returns, time, policies and the end.

The model knows each event by the time of its raise, which no other one has: an event that was on disk is another object.
"""

import attrs
from evframe_journal.bounds import Bounds, Reading
from evframe_journal.dead import DeadLetters
from evframe_journal.frames import Frame
from evframe_journal.journal import Journal
from evframe_journal.letters import Bounds as DeadBounds
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory
from evframe_policies.queue import LimitedQueue
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from evframe.events.event import EventRegistry
from evframe.plugin import MemoryQueue, Policy, QueueFull
from evframe.testing import FakeClock

DEFINITION = EventRegistry().register("E")
KEY = "udp:127.0.0.1:1"
STEP_S = 0.001  # of the clock, for each event
MOST_ROOM = 12
REASONS = {"expired", "duplicate", "queue_full", "shed", "unsubscribed"}

POLICIES = st.builds(
    Policy,
    max_age_s=st.sampled_from([None, 0.05, 2.0]),
    rate=st.sampled_from([None, 1.0, 10.0, 500.0]),
    burst=st.sampled_from([None, 1, 3]),
    dedup_s=st.sampled_from([None, 0.02, 1.0]),
    when_full=st.sampled_from([None, "drop_oldest", "drop_newest", "block"]),
    max_bytes=st.sampled_from([None, 150, 400]),
    priority=st.sampled_from([None, 3]),
)


class Watch:
    """The clock, and what queues asked the timer for; `ring` does what is due."""

    def __init__(self, clock):
        self.now = clock
        self.overflow = "drop_newest"
        self.bytes = 0
        self.resumes, self.expiries, self.dropped = {}, {}, []

    def grow(self, size):
        self.bytes += size

    def resume_in(self, queue, seconds):
        self.resumes[queue] = self.now() + seconds

    def expire_in(self, queue, seconds):
        self.expiries[queue] = self.now() + max(seconds, STEP_S)

    def remember(self, queue, *, is_wanted):
        pass

    most_remembered = 1000

    def fail_later(self, queue):
        self.dropped.append(queue)

    def ring(self, most=3):
        """Do what is due, with *most* events in each step."""
        dropped, self.dropped = self.dropped, []
        for queue in dropped:
            queue.fail_dropped()
        for queue, due in list(self.resumes.items()):
            if due <= self.now():
                del self.resumes[queue]
                queue.resume()
        for queue in [queue for queue, at in self.expiries.items() if at <= self.now()]:
            del self.expiries[queue]
            while queue.expire(most) == most:
                pass


class File:
    """A file that writes and reads at once."""

    def __init__(self):
        self.frames = {}

    def write(self, commit, done):
        for frame in commit.frames:
            self.frames[frame.first] = Frame.decoded(frame.key, *frame.encoded())
        for low in commit.lows.values():
            self.frames = {first: frame for first, frame in self.frames.items() if frame.last >= low}
        done(None, None)

    def read(self, key, position, most, done):
        found = sorted((frame for frame in self.frames.values() if frame.last >= position), key=lambda each: each.first)
        if not found:
            done(Reading((), position), None)
            return
        part = Frame.decoded(key, *found[0].encoded(), position, most)
        done(Reading([part], part.last + 1), None)

    def check(self, done):
        done(None, None)


def kept_journal(clock):
    """Return a journal with small frames and little memory."""
    journal = Journal(
        file=File(),
        bounds=Bounds(frame_events=3, store_after_s=0.02),
        memory=Memory(4000),
        event_of=DEFINITION.restored,
        report=lambda _: None,
        letters=DeadLetters(bounds=DeadBounds(0, 0), clock=clock, wall=clock),
        clock=clock,
        wall=clock,
    )
    journal.restore({})
    return journal


def of_kept(policy):
    """Return a policy whose bounds are not those of the journal, which has another model."""
    return attrs.evolve(policy, when_full=None, max_bytes=None)


def test_what_comes_back_too_old_leaves_memory_at_once():
    """Events that come back after the last look at the ages do not wait for the next one, which may be far."""
    failed = []

    class Owner:
        def fail_events(self, events, dones, reason):
            failed.extend((event["n"], reason) for event in events)

    clock = FakeClock(1000.0)
    watch = Watch(clock)
    queue = LimitedQueue(MemoryQueue(5), Owner(), Policy(max_age_s=2.0), watch, lambda: None)
    queue.append(DEFINITION.snapshot({"n": 1}, clock.now))
    events, dones = queue.take(1, 1)
    clock.advance(3.0)
    watch.ring()
    queue.settle(1, [0])
    queue.give_back(1, events, dones)
    clock.advance(0.3)
    watch.ring()
    assert (failed, len(queue)) == ([(1, "expired")], 0)


class QueueMachine(RuleBasedStateMachine):
    """Calls the queue as a subscriber and the timer do."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock(1000.0)
        self.watch = Watch(self.clock)
        self.raised = []  # the keys of all events, in order
        self.payloads = {}
        self.outcome = {}  # by key: "delivered" or a reason
        self.awaited = set()
        self.called = {}
        self.sent = []  # when an event was part of a batch, since the rate changed
        self.taken = []  # the keys of the events that were part of a batch once, in order
        self.compared = []  # those of them that were taken under the present policy
        self.under_way = {}
        self.returned = {}
        self.number = 0
        self.came_back = 0
        self.is_closed = False
        self.echoes = 0  # callbacks that raise another event

    @initialize(policy=POLICIES, is_kept=st.booleans(), room=st.integers(3, MOST_ROOM), before=st.integers(0, 3))
    def queue_is_made(self, policy, is_kept, room, before):
        self.room = room
        if is_kept:
            policy = of_kept(policy)
        self.policy = policy
        self.journal = kept_journal(self.clock) if is_kept else None
        self.inner = self.journal.open(KEY, Limits(room), Calls()) if is_kept else MemoryQueue(room)
        self.queue = self.inner
        for number in range(before):
            self.event_comes(number, True)
        self.woken = 0
        self.queue = LimitedQueue(self.inner, self, policy, self.watch, self.wake)

    def wake(self):
        self.woken += 1

    # events

    def key(self, event):
        return round((event.raised_at - 1000.0) / STEP_S)

    def event_comes(self, kind, awaited):
        self.clock.advance(STEP_S)
        event = DEFINITION.snapshot([kind], self.clock.now)
        key = self.key(event)
        self.raised.append(key)
        self.payloads[key] = event.payload
        try:
            if len(self.queue) >= self.queue.room:
                raise QueueFull
            self.queue.append(event)
        except QueueFull:
            if not self.queue.spill(event):
                self.outcome[key] = "queue_full"
                return
        if awaited:
            self.awaited.add(key)
            self.queue.track(lambda reason: self.call(key, reason))

    def call(self, key, reason):
        assert key not in self.called
        self.called[key] = reason
        assert len(self.queue) + self.queue.stored == len(self.waiting())
        if self.echoes and not self.is_closed:
            self.echoes -= 1
            self.event_comes(9, True)

    def fail_events(self, events, dones, reason):
        """Do what the subscriber does."""
        assert events
        for event in events:
            key = self.key(event)
            assert key not in self.outcome
            self.check_fault(key, reason)
            self.outcome[key] = reason
        assert set(dones) == {at for at, event in enumerate(events) if self.key(event) in self.awaited}
        for done in list(dones.values()):
            done(reason)

    def check_fault(self, key, reason):
        """Assert that a reason is true: the event is too old, or the repetition of one that was taken."""
        assert reason in REASONS
        if reason == "expired":
            assert self.clock.now - (1000.0 + key * STEP_S) > self.policy.max_age_s - 1e-6
        if reason == "duplicate":
            same = [other for other in self.raised if other < key and self.payloads[other] == self.payloads[key]]
            first = [other for other in same if self.outcome.get(other) != "duplicate"]
            assert any((key - other) * STEP_S < self.policy.dedup_s + 1e-6 for other in first)

    def waiting(self):
        begun = {key for keys, _, _ in (*self.under_way.values(), *self.returned.values()) for key in keys}
        return [key for key in self.raised if key not in self.outcome and key not in begun]

    def dropped(self):
        """Return the events that have given up their places, and fail soon."""
        return {self.key(event) for event, _ in self.queue._dropped}

    @rule(kinds=st.lists(st.integers(0, 3), min_size=1, max_size=9), awaited=st.booleans())
    def events_come(self, kinds, awaited):
        for kind in kinds:
            self.event_comes(kind, awaited)

    @rule(count=st.integers(1, 3))
    def callbacks_raise_events(self, count):
        self.echoes = count

    # batches

    @precondition(lambda self: not self.is_closed)
    @rule(most=st.integers(1, 6))
    def batch_begins(self, most):
        self.number += 1
        before = len(self.queue)
        events, dones = self.queue.take(most, self.number)
        keys = [self.key(event) for event in events]
        assert len(keys) <= min(most, before + MOST_ROOM)
        dropped = self.dropped()
        assert [key for key in self.waiting() if key not in dropped][: len(keys)] == keys
        assert set(dones) == {at for at, key in enumerate(keys) if key in self.awaited}
        for key in keys:
            if self.policy.max_age_s is not None:
                assert self.clock.now - (1000.0 + key * STEP_S) <= self.policy.max_age_s + 1e-6
            if key not in self.taken:
                self.check_new(key)
        self.sent += [self.clock.now] * len(keys)
        self.rate_holds()
        if keys:
            self.under_way[self.number] = keys, events, dones

    def check_new(self, key):
        assert not self.taken or key > self.taken[-1]
        if self.policy.dedup_s is not None:
            same = [other for other in self.compared if self.payloads[other] == self.payloads[key]]
            assert all((key - other) * STEP_S > self.policy.dedup_s - 1e-6 for other in same)
        self.taken.append(key)
        self.compared.append(key)

    def rate_holds(self):
        if self.policy.rate is None:
            return
        burst = self.policy.burst or max(1, -(-self.policy.rate // 1))
        for index, began in enumerate(self.sent):
            assert len(self.sent) - index <= (self.clock.now - began) * self.policy.rate + burst + 1e-6

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def batch_ends(self, data):
        number = data.draw(st.sampled_from(sorted(self.under_way)))
        keys, events, dones = self.under_way.pop(number)
        kept = sorted(data.draw(st.sets(st.integers(0, len(keys) - 1)) | st.just(set())))
        self.queue.settle(number, kept)
        for index, key in enumerate(keys):
            if index not in kept:
                self.outcome[key] = "delivered"
        if kept:
            again = {place: dones[index] for place, index in enumerate(kept) if index in dones}
            self.returned[number] = [keys[index] for index in kept], [events[index] for index in kept], again
        for index, done in dones.items():
            if index not in kept:
                done(None)
        if not self.under_way:
            self.batches_come_back()

    def batches_come_back(self):
        for number in sorted(self.returned, reverse=True):
            keys, events, dones = self.returned.pop(number)
            self.queue.give_back(number, events, dones)
            self.came_back += len(keys)

    # the timer, and what changes

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.3, 3.0]))
    def time_passes(self, seconds):
        self.clock.advance(round(seconds / STEP_S) * STEP_S)
        if self.journal is not None:
            self.journal.tick()
        self.watch.ring()
        if self.policy.max_age_s is not None and not self.is_closed and self.journal is None:
            oldest = self.clock.now - self.policy.max_age_s
            late = [key for key in self.waiting() if 1000.0 + key * STEP_S < oldest - 1e-6]
            assert set(late) <= self.dropped()

    @rule(policy=POLICIES, room=st.integers(3, MOST_ROOM))
    def policy_changes(self, policy, room):
        if self.is_closed:
            return
        if self.journal is not None:
            policy = of_kept(policy)
        self.policy = policy
        self.sent, self.compared = [], []
        self.queue.configure(room, policy)
        self.room = room

    @precondition(lambda self: self.journal is None)
    @rule(size=st.integers(1, 500))
    def memory_is_short(self, size):
        before, waiting, dropped = self.queue.bytes, self.waiting(), self.dropped()
        count = self.queue.shed(size, 4)
        shed = [key for key in waiting if self.outcome.get(key) == "shed"]
        assert shed == [key for key in waiting if key not in dropped][:count]
        assert before == 0 or count > 0

    @rule()
    def queue_is_closed(self):
        self.is_closed = True
        self.queue.close()
        assert not self.queue.spill(DEFINITION.snapshot([1], self.clock.now))

    # what holds at any time

    @invariant()
    def every_event_is_somewhere(self):
        if hasattr(self, "woken"):
            assert len(self.queue) + self.queue.stored == len(self.waiting())
            assert {key for key in self.outcome if key in self.awaited} == self.called.keys()

    @invariant()
    def memory_is_counted_and_bounded(self):
        if not hasattr(self, "woken"):
            return
        if self.journal is None:
            size = sum(len(self.payloads[key]) for key in self.waiting() if key not in self.dropped())
            assert self.queue.bytes == self.watch.bytes == size
            assert len(self.inner) <= MOST_ROOM + self.came_back

    @invariant()
    def events_that_may_be_sent_are_shown(self):
        """While there are tokens, or none are needed, no event is held once the timer has rung."""
        if hasattr(self, "woken") and self.queue._is_held:
            assert self.queue in self.watch.resumes

    def batches_are_delivered(self):
        for number in list(self.under_way):
            keys, _, dones = self.under_way.pop(number)
            self.outcome.update(dict.fromkeys(keys, "delivered"))
            self.queue.settle(number, ())
            for done in dones.values():
                done(None)

    def teardown(self):
        """Every event gets its outcome: what waits is sent at the rate, or fails; then the rest fails at the end."""
        if not hasattr(self, "woken"):
            return
        self.batches_are_delivered()
        self.batches_come_back()
        self.echoes = 0
        if not self.is_closed:
            for _ in range(200):
                if not self.waiting():
                    break
                self.clock.advance(4.0)
                if self.journal is not None:
                    self.journal.tick()
                self.watch.ring()
                self.batch_begins(5)
                self.batches_are_delivered()
        while events := self.queue.take(3, 0):
            if not events[0]:
                break
            assert self.is_closed
            self.queue.settle(0, ())
            self.fail_events(*events, "unsubscribed")
        if self.queue.stored:
            assert self.is_closed
            assert self.queue.stored == len(self.waiting())
            self.queue.drop_stored("unsubscribed")
            assert not self.queue.stored
        else:
            assert not self.waiting()


QueueMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
test_queue = QueueMachine.TestCase
