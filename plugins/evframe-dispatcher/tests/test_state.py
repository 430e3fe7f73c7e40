"""The state of a destination, beside a literal model of the rules with their flags and counts."""

import pytest
from evframe_dispatcher.state import STATES, Health
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

INACTIVE, PROBING = 1, 2


class Model:
    """Flags and a count, each rule as it is written down."""

    def __init__(self, threshold, always_probed, number):
        self.threshold = threshold
        self.always_probed = always_probed
        self.flags = {0: 0, 1: INACTIVE, 2: PROBING}[number]
        self.failures = 0

    @property
    def active(self):
        return not self.flags & (INACTIVE | PROBING)

    @property
    def probed(self):
        if self.flags & INACTIVE:
            return False
        return bool(self.flags & PROBING) or self.always_probed

    def request_probing(self):
        if self.flags & INACTIVE:
            return
        self.failures += 1
        if self.failures < self.threshold:
            return
        self.failures = self.threshold
        self.flags |= PROBING

    def reply(self, good):
        if good:
            self.flags &= ~(INACTIVE | PROBING)
            self.failures = 0
        elif self.always_probed:
            self.request_probing()

    def mark(self, state):
        if state == "active":
            self.flags &= ~(INACTIVE | PROBING)
        elif state == "probing":
            self.request_probing()
            self.flags &= ~INACTIVE
        else:
            self.flags |= INACTIVE
            self.flags &= ~PROBING


class HealthMachine(RuleBasedStateMachine):
    """Whatever happens, the state is that of the flags, and each change of use is reported once."""

    @initialize(threshold=st.integers(1, 4), always=st.booleans(), number=st.integers(0, 2))
    def begin(self, threshold, always, number):
        self.health = Health(threshold, always_probed=always, state=STATES[number])
        self.model = Model(threshold, always, number)

    def _both(self, change, act):
        flags, active = self.model.flags, self.model.active
        act()
        assert (change is not None) == (self.model.flags != flags)
        if change is not None:
            assert change.state == self.health.state
            assert change.flipped == (self.model.active != active)

    @rule(good=st.booleans())
    def reply(self, good):
        if self.model.probed:
            self._both(self.health.replied(good=good), lambda: self.model.reply(good))

    @rule(good=st.booleans())
    def reply_that_is_late(self, good):
        if self.model.flags & INACTIVE:
            assert self.health.replied(good=good) is None

    @rule()
    def not_sent(self):
        self._both(self.health.fail(), self.model.request_probing)

    @rule(state=st.sampled_from(STATES))
    def mark(self, state):
        self._both(self.health.mark(state), lambda: self.model.mark(state))

    @invariant()
    def same(self):
        if hasattr(self, "model"):
            assert self.health.active == self.model.active
            assert self.health.probed == self.model.probed
            assert self.health.failures == self.model.failures
            assert (self.health.state == "inactive") == bool(self.model.flags & INACTIVE)
            assert (self.health.state == "probing") == bool(self.model.flags & PROBING)


TestHealthMachine = HealthMachine.TestCase
TestHealthMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_the_threshold():
    """So many failures in a row take an active destination out of use; a good probe between starts anew."""
    health = Health(3, always_probed=True)
    assert [health.replied(good=False) for _ in range(2)] == [None, None]
    assert health.replied(good=True) is None
    assert [health.replied(good=False) for _ in range(2)] == [None, None]
    change = health.replied(good=False)
    assert (change.state, change.flipped) == ("probing", True)
    assert health.replied(good=False) is None
    change = health.replied(good=True)
    assert (change.state, change.flipped) == ("active", True)


def test_without_always_probing_a_negative_reply_counts_nothing():
    """A destination that is probing simply stays so."""
    health = Health(1, state="probing")
    assert health.replied(good=False) is None
    assert health.failures == 0


def test_a_probing_destination_that_is_marked_inactive_is_told_nowhere():
    """It was not used before, and is not used after: the change has not flipped anything."""
    health = Health(3, state="probing")
    change = health.mark("inactive")
    assert (change.state, change.flipped) == ("inactive", False)


def test_after_a_manual_reset_one_failure_is_enough():
    """The failures are counted until a probe is good, not until somebody says that all is well."""
    health = Health(3)
    for _ in range(3):
        health.mark("probing")
    health.mark("active")
    assert health.active
    assert health.mark("probing").state == "probing"


@pytest.mark.parametrize("good", [True, False])
def test_a_late_reply_changes_no_word_of_a_person(good):
    """A probe that was under way when a destination was marked inactive does not bring it back."""
    health = Health(1, always_probed=True)
    health.mark("inactive")
    assert health.replied(good=good) is None
    assert health.state == "inactive"
