"""How far a partition is done, against a plain list of what is not."""

from evframe_kafka_consumer.partition import Partition
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule


class Positions(RuleBasedStateMachine):
    """Whatever is done in whatever order, only what has nothing open before it is committed."""

    def __init__(self):
        super().__init__()
        self.partition = Partition()
        self.next = 100
        self.taken = []
        self.open = set()
        self.committed = None

    @rule(gap=st.integers(0, 3), count=st.integers(1, 4))
    def take(self, gap, count):
        self.next += gap  # such as the marks of transactions
        for _ in range(count):
            self.partition.add(self.next)
            self.taken.append(self.next)
            self.open.add(self.next)
            self.next += 1

    @precondition(lambda self: self.open)
    @rule(data=st.data(), twice=st.booleans())
    def settle(self, data, twice):
        offset = data.draw(st.sampled_from(sorted(self.open)))
        self.open.discard(offset)
        for _ in range(1 + twice):
            self.partition.settle(offset)

    @rule()
    def commit(self):
        position = self.partition.position
        if position is not None:
            self.partition.committed(position)
            self.committed = position
        assert self.partition.position is None

    @invariant()
    def nothing_open_is_committed(self):
        assert len(self.partition) == len(self.open)
        if self.committed is not None:
            assert all(offset >= self.committed for offset in self.open)
        if self.taken:
            expected = min(self.open) if self.open else self.taken[-1] + 1
            assert self.partition.position == (None if expected == self.committed else expected)


Positions.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPositions = Positions.TestCase
