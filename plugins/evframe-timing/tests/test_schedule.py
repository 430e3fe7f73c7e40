"""What becomes due at some time."""

import math

import pytest
from evframe_timing import Schedule, schedule
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule


def popped(due, now):
    keys = []
    while (key := due.pop(now)) is not None:
        keys.append(key)
    return keys


def test_due():
    """Keys come out by their seconds, none before its time."""
    due = Schedule()
    assert due.next_due == math.inf
    for key, at in (("b", 20), ("a", 10), ("c", 30)):
        due.add(key, at)
    assert (len(due), due.next_due) == (3, 10)
    assert popped(due, 9.9) == []
    assert popped(due, 20.0) == ["a", "b"]
    assert due.remove("c", 30) == "c"
    assert (len(due), due.next_due) == (0, math.inf)


def test_parts_of_a_second():
    """A key is due at the end of the part in which its time is over, and not before."""
    due = Schedule(16)
    due.add("a", 1.01)
    due.add("b", 1.0625)
    due.add("c", 1.1)
    assert due.next_due == 1.0625
    assert popped(due, 1.0624) == []
    assert sorted(popped(due, 1.0625)) == ["a", "b"]
    assert due.remove("c", 1.1) == "c"


@pytest.mark.parametrize("at", [10, 11])
def test_remove_what_is_not_there(at):
    """A key that is not due at the second is an error that names it."""
    due = Schedule()
    due.add("a", 10)
    with pytest.raises(KeyError):
        due.remove("b", at)


def test_the_key_is_that_which_was_added():
    """What is returned is the very object that was added, so that equal ones are not kept twice."""
    due = Schedule()
    first, equal = (1, 2), tuple(range(1, 3))
    due.add(first, 10)
    assert due.remove(equal, 10) is first


def test_a_crowded_second(monkeypatch):
    """A second with more keys than a dictionary should hold keeps them all, and lets each go."""
    monkeypatch.setattr(schedule, "_MOST", 4)
    due = Schedule()
    for key in range(50):
        due.add(key, 10)
    for key in range(0, 50, 2):
        due.remove(key, 10)
    assert sorted(popped(due, 10)) == list(range(1, 50, 2))
    assert due._buckets == {}


def test_moves_leave_nothing_behind():
    """A key that moves a hundred thousand times leaves no more than a handful of times."""
    due = Schedule()
    due.add("a", 0)
    for at in range(100_000):
        due.remove("a", at)
        due.add("a", at + 1)
    assert len(due._ends) < 100
    assert popped(due, 100_000) == ["a"]


class ScheduleMachine(RuleBasedStateMachine):
    """A schedule against a model: the second of each key."""

    def __init__(self):
        super().__init__()
        self.due = Schedule()
        self.model = {}

    keys = st.integers(0, 8)

    @rule(key=keys, at=st.integers(0, 6))
    def put(self, key, at):
        if key in self.model:
            self.due.remove(key, self.model[key])
        self.due.add(key, at)
        self.model[key] = at

    @rule(key=keys)
    def remove(self, key):
        if key in self.model:
            self.due.remove(key, self.model.pop(key))

    @rule(now=st.integers(-1, 6))
    def pop(self, now):
        got = popped(self.due, now)
        seconds = [self.model.pop(key) for key in got]
        assert seconds == sorted(seconds)
        assert all(at > now for at in self.model.values())

    @invariant()
    def same(self):
        assert len(self.due) == len(self.model)
        assert self.due.next_due == min(self.model.values(), default=math.inf)


TestScheduleMachine = ScheduleMachine.TestCase
TestScheduleMachine.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
