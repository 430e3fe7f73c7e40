"""Answers to deliveries, against a broker that keeps them one by one."""

from collections import Counter

from evframe_rabbitmq_consumer.tags import Tags
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pamqp import commands


class Broker(RuleBasedStateMachine):
    """Whatever is answered in whatever order, the broker gets each answer once and nothing else."""

    def __init__(self):
        super().__init__()
        self.told = Counter()
        self.tags = Tags(self.told)
        self.next = 1
        self.open = set()
        self.answered = {}
        self.unknown = set()  # what the broker has sent and has no answer to
        self.heard = {}

    @rule(count=st.integers(1, 5))
    def deliver(self, count):
        for _ in range(count):
            self.tags.add(self.next)
            self.open.add(self.next)
            self.unknown.add(self.next)
            self.next += 1

    @precondition(lambda self: self.open)
    @rule(data=st.data(), answer=st.sampled_from(["ack", "ack", "requeue", "reject"]))
    def answer(self, data, answer):
        tag = data.draw(st.sampled_from(sorted(self.open)))
        self.tags.answer(tag, answer)
        self.open.discard(tag)
        self.answered[tag] = answer

    @rule()
    def flush(self):
        frames = self.tags.frames()
        for frame in frames:
            if isinstance(frame, commands.Basic.Nack):
                self.hear(frame.delivery_tag, "requeue" if frame.requeue else "reject")
            elif frame.multiple:
                assert frame.delivery_tag in self.unknown
                for tag in sorted(tag for tag in self.unknown if tag <= frame.delivery_tag):
                    self.hear(tag, "ack")
            else:
                self.hear(frame.delivery_tag, "ack")
        assert self.heard == self.answered
        assert sum(isinstance(frame, commands.Basic.Ack) and frame.multiple for frame in frames) <= 1

    def hear(self, tag, answer):
        assert tag in self.unknown  # a broker closes the channel otherwise
        self.unknown.discard(tag)
        self.heard[tag] = answer

    @invariant()
    def counts(self):
        assert len(self.tags) == len(self.open)
        assert self.told == Counter(self.heard.values())


Broker.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBroker = Broker.TestCase


def test_one_frame_for_many():
    """A thousand acknowledgements in a row are one frame."""
    tags = Tags(Counter())
    for tag in range(1, 1001):
        tags.add(tag)
    for tag in range(1, 1001):
        tags.answer(tag, "ack")
    (frame,) = tags.frames()
    assert (frame.delivery_tag, frame.multiple) == (1000, True)
    assert tags.frames() == []
