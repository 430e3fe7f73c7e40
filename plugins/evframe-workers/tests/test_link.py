"""How many frames the front makes of events: few, whatever happens among them."""

import pytest
from evframe_workers import messages
from evframe_workers.ledger import Ledger
from evframe_workers.link import Link
from evframe_workers.subscribed import Subscribed

from evframe import EventDefinition

DEFINITION = EventDefinition(0, "E_TEST")


class Recipient:
    """A subscriber that counts nothing."""

    ended = False

    def fail_events(self, events, dones, reason):
        pass


class Worker:
    """Reads what a link sends, and acknowledges nothing."""

    def __init__(self):
        self.plans, self.kinds = [], []
        self.reader = messages.Reader()
        self.link = Link(None, lambda after_s, plan: self.plans.append(plan), lambda: 0.0)

    def attach(self):
        self.link.attach(lambda data: self.kinds.extend(kind for kind, _ in self.reader.feed(data)))

    def ledger(self, number):
        ledger = Ledger(number, Recipient(), self.link, 100, lambda: None)
        self.show(ledger, is_wanted=True)
        return ledger

    def show(self, ledger, *, is_wanted):
        text = f"udp:127.0.0.1:{ledger.number + 1}"
        self.link.show(ledger, Subscribed(text, is_configured=False, policy={}, is_wanted=is_wanted))

    def turn(self):
        plans, self.plans = self.plans, []
        for plan in plans:
            plan()


@pytest.fixture
def worker():
    """Return a link, and what reads from it."""
    return Worker()


def test_a_new_worker_gets_an_event_once_for_all_subscribers(worker):
    """The next worker gets the subscribers in one message, and what waits for them in few frames."""
    ledgers = [worker.ledger(number) for number in range(1000)]
    for at in range(3):
        event = DEFINITION.snapshot({"n": at}, 1.0 + at)
        for ledger in ledgers:
            ledger.append(event)
    worker.attach()
    worker.turn()
    assert worker.kinds == [messages.TARGETS, messages.FRAME]


def test_subscribing_does_not_slow_events(worker):
    """Events before a change of a subscriber are sent at once: they wait for no outcome, because no frame can grow."""
    worker.attach()
    ledger = worker.ledger(0)
    for at in range(50):
        ledger.append(DEFINITION.snapshot({"n": at}, 1.0))
        worker.show(ledger, is_wanted=False)
        worker.show(ledger, is_wanted=True)
    worker.turn()
    assert worker.kinds.count(messages.FRAME) == 50
    for at in range(50):
        ledger.append(DEFINITION.snapshot({"n": at}, 1.0))
    worker.turn()
    assert worker.kinds.count(messages.FRAME) == 50  # the next one grows


def test_a_worker_that_hangs_keeps_no_events_that_were_given_up(worker):
    """While a worker takes nothing and the oldest events make room, what waits for it has a bound."""
    worker.attach()
    ledger = worker.ledger(0)
    ledger.overflow = "drop_oldest"
    worker.link.pause()
    for at in range(10_000):
        ledger.append(DEFINITION.snapshot({"n": at}, 1.0))
    assert len(worker.link._outgoing) < 2000
    assert ledger.stored == 200
