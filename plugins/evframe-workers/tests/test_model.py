"""The protocol between the front and a worker, with a worker that dies at any point."""

from collections import Counter

import pytest
from evframe_workers import messages
from evframe_workers.deliveries import Deliveries
from evframe_workers.ledger import Ledger
from evframe_workers.link import Link
from evframe_workers.subscribed import Subscribed
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import evframe
from evframe.testing import FakeClock, MemoryTransport


class Recipient:
    """A subscriber of the model: what was raised for it, and its outcomes at the front."""

    def __init__(self, number):
        self.number = number
        self.ended = self.is_over = False
        self.away = None
        self.raised = []
        self.outcomes = []  # how many
        self.reasons = {}
        self.count = Counter()

    def mirror(self, delivered, away):
        self.count["delivered"] += delivered

    def fail_events(self, events, dones, reason):
        self.count["failed"] += len(events)
        for done in dones.values():
            done(reason)

    def over(self):
        self.is_over = True


class Front:
    """Counts as the plugin does."""

    def __init__(self):
        self.recipients = {}

    def delivered(self, ledger, count, dones):
        self.recipients[ledger.number].mirror(count, None)
        for done in dones:
            done(None)

    def failed(self, ledger, events, dones, reason):
        self.recipients[ledger.number].fail_events(events, dict(enumerate(dones)), reason)

    def settled(self):
        pass


class Engine:
    """A worker's deliveries: they end in any order of the subscribers, with gaps within one."""

    def __init__(self, definition_of, arrived):
        self.definition_of = definition_of
        self.arrived = arrived  # what each far side has got, over all workers
        self.open_events = {}
        self.last = {}

    def open(self, target, text, policy, *, is_configured):
        self.open_events.setdefault(text, [])
        return text

    def follow(self, target, text, policy, *, is_configured):
        assert target.handle == text
        return text

    def end(self, handle):
        self.open_events[handle].append(None)

    def put(self, handle, event, done, name=None):
        assert name is None, "no event of the model is kept"
        event = event.get("n")
        assert self.last.get(handle, -1) < event, "a worker gets the events of a subscriber in their order, each once"
        self.last[handle] = event
        self.open_events[handle].append((event, done))

    def finish(self, text, index, reason):
        """Give the event at *index* of those open its outcome; a delivery arrives with those before it."""
        waiting = self.open_events.get(text, [])
        if None in waiting and waiting[0] is None:
            waiting.pop(0)
        entries = [each for each in waiting if each is not None]
        if entries:
            entry = entries[index % len(entries)]
            waiting.remove(entry)
            if reason is None:
                self.arrived.setdefault(text, []).append(entry[0])
            entry[1](reason)


class Exchange(RuleBasedStateMachine):
    """One front, and workers one after the other."""

    @initialize(drops_oldest=st.booleans())
    def begin(self, drops_oldest):
        self.events = evframe.EventInterface(plugins={"memory": MemoryTransport()})
        self.events.register_event("E_A")
        self.front = Front()
        self.plans = []
        self.clock = FakeClock(0.0)
        self.link = Link(self.front, lambda after_s, plan: self.plans.append(plan), self.clock)
        self.link.most_dropped = 3
        self.ledgers = {}
        self.drops_oldest = drops_oldest
        self.raised = 0
        self.arrived = {}
        self.worker = None
        self.to_worker, self.to_front = [], []
        self.deaths = 0
        self.subscribe()
        self.start_worker()

    # The front

    @rule()
    def subscribe(self):
        number = len(self.ledgers)
        if number < 4:
            recipient = self.front.recipients[number] = Recipient(number)
            ledger = Ledger(number, recipient, self.link, 5, recipient.over)
            ledger.overflow = "drop_oldest" if self.drops_oldest else "drop_newest"
            self.ledgers[number] = ledger
            self.link.show(ledger, Subscribed(f"memory:{number}", is_configured=False, policy={}))

    @rule(number=st.integers(0, 3))
    def unsubscribe(self, number):
        recipient = self.front.recipients.get(number)
        if recipient is not None and not recipient.ended:
            recipient.ended = True
            self.link.show(
                self.ledgers[number], Subscribed(f"memory:{number}", is_configured=False, policy={}, is_wanted=False)
            )
            self.ledgers[number].rest()

    @rule(times=st.integers(1, 8), numbers=st.sets(st.integers(0, 3), min_size=1), awaits=st.booleans())
    def raise_events(self, times, numbers, awaits):
        for _ in range(times):
            event = self.events.event("E_A").snapshot({"n": self.raised}, self.raised // 3 - self.raised % 5)
            for number in sorted(numbers):
                recipient = self.front.recipients.get(number)
                if recipient is not None and not recipient.ended:
                    recipient.raised.append(self.raised)
                    self.put(recipient, self.ledgers[number], event, awaits=awaits)
            self.raised += 1

    def put(self, recipient, ledger, event, *, awaits):
        recipient.count["raised"] += 1
        if not ledger.spill(event):
            recipient.count["failed"] += 1
            recipient.raised.pop()
        elif awaits:
            number, wanted = self.raised, recipient.reasons
            assert number not in wanted
            wanted[number] = None

            def done(reason):
                assert wanted[number] is None, "an event has a second outcome"
                wanted[number] = reason or "delivered"

            ledger.track(done)

    # What the loop does

    @rule(
        to_worker=st.integers(0, 4),
        ends=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from([None, None, "rejected"]))),
        to_front=st.integers(0, 3),
    )
    def turn(self, to_worker, ends, to_front):
        plans, self.plans[:] = list(self.plans), []
        for plan in plans:
            plan()
        self.clock.now += 0.0004
        read, self.to_worker[:to_worker] = self.to_worker[:to_worker], []
        for kind, content in read:
            self.worker.receive(kind, content)
        for number, index, reason in ends if self.worker is not None else ():
            self.engine.finish(f"memory:{number}", index, reason)
        read, self.to_front[:to_front] = self.to_front[:to_front], []
        for kind, content in read:
            self.link.receive(kind, content)

    @rule(is_paused=st.booleans())
    def press(self, is_paused):
        (self.link.pause if is_paused else self.link.resume)()

    # Workers

    @rule()
    def start_worker(self):
        if self.worker is None:
            self.engine = Engine(self.events.event, self.arrived)
            reader_a, reader_b = messages.Reader(), messages.Reader()
            self.to_worker, self.to_front = [], []
            to_front, to_worker = self.to_front, self.to_worker
            self.worker = Deliveries(self.engine, lambda data: to_front.extend(reader_b.feed(data)), self.plans.append)
            self.link.attach(lambda data: to_worker.extend(reader_a.feed(data)))

    @rule()
    def kill_worker(self):
        if self.worker is not None:
            self.deaths += 1
            self.worker = None
            self.to_worker, self.to_front = [], []
            self.link.detach()

    # What holds

    @invariant()
    def the_counters_add_up(self):
        for number, ledger in getattr(self, "ledgers", {}).items():
            count = self.front.recipients[number].count
            assert count["raised"] == count["delivered"] + count["failed"] + ledger.stored

    def teardown(self):
        if not hasattr(self, "link"):
            return
        self.link.resume()
        for _ in range(1000):
            if self.worker is None:
                self.start_worker()
            self.turn(100, [(number, 0, None) for number in self.ledgers], 100)
            if not any(ledger.stored for ledger in self.ledgers.values()):
                break
        for number, ledger in self.ledgers.items():
            recipient = self.front.recipients[number]
            assert not ledger.stored
            assert recipient.is_over or not recipient.ended
            assert None not in recipient.reasons.values(), "an event has no outcome"
            self.check_arrivals(recipient, self.arrived.get(f"memory:{number}", []))

    def check_arrivals(self, recipient, arrived):
        lost = set(recipient.raised) - set(arrived)
        assert len(lost) <= recipient.count["failed"]
        for event, outcome in recipient.reasons.items():
            assert outcome != "delivered" or event in arrived
        assert recipient.count["delivered"] <= len(arrived)
        assert self.deaths or self.drops_oldest or len(arrived) == recipient.count["delivered"]


Exchange.TestCase.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
TestExchange = Exchange.TestCase


def test_messages_are_found_however_they_are_cut():
    """A message that comes in pieces is found when it is complete, and several in one piece are found at once."""
    data = b"".join(messages.packed(b"F", bytes([number]) * number) for number in range(5))
    for size in (1, 2, 7, len(data)):
        reader = messages.Reader()
        found = [each for at in range(0, len(data), size) for each in reader.feed(data[at : at + size])]
        assert found == [(b"F", bytes([number]) * number) for number in range(5)]
    with pytest.raises(ValueError, match="expected a message of at most"):
        list(messages.Reader().feed(b"\xff" * 5))
