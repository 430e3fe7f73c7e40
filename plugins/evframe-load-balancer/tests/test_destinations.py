"""Whether a destination is used, beside a literal model of the rules."""

import pytest
from evframe_load_balancer.destinations import Destination
from evframe_load_balancer.options import DestinationOptions
from evframe_probing import Reply
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

DISABLED, NO_REENABLE = 1, 2


def destination(probe_mode=0, **resources):
    return Destination.make(
        DestinationOptions(id=1, group=1, uri="sip:a", resources=resources or {"calls": 1}, probe_mode=probe_mode)
    )


class StatusMachine(RuleBasedStateMachine):
    """Whatever happens, the status is that of the flags, and each change of use is reported once."""

    @initialize(mode=st.integers(0, 2))
    def begin(self, mode):
        self.mode = mode
        self.destination = destination(mode)
        self.flags = 0

    def _both(self, changed, flags):
        assert changed == bool((self.flags ^ flags) & DISABLED)
        self.flags = flags

    @rule(code=st.sampled_from([100, 200, 302, 399, 400, 404, 408, 503, None]), listed=st.booleans())
    def probe(self, code, listed):
        good = code == 200 or (listed and code is not None)
        changed = self.destination.replied(Reply(code, good))
        if self.flags & NO_REENABLE:
            assert not changed
        elif good:
            self._both(changed, self.flags & ~DISABLED)
        elif code is None or code >= 400:
            self._both(changed, self.flags | DISABLED)
        else:
            self._both(changed, self.flags)

    @rule()
    def use(self):
        self._both(self.destination.disable(), self.flags | DISABLED)

    @rule(enabled=st.booleans())
    def command(self, enabled):
        self._both(self.destination.command(enabled=enabled), 0 if enabled else DISABLED | NO_REENABLE)

    @invariant()
    def same(self):
        if hasattr(self, "flags"):
            assert self.destination.enabled == (not self.flags & DISABLED)
            assert self.destination.held == bool(self.flags & NO_REENABLE)
            disabled, held = self.flags & DISABLED, self.flags & NO_REENABLE
            wanted = {0: False, 1: bool(disabled), 2: True}[self.mode] and not held
            assert self.destination.probed == wanted


TestStatusMachine = StatusMachine.TestCase
TestStatusMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_one_negative_reply_is_enough():
    """A code from 400 on disables at once, and a good one enables; others do nothing."""
    found = destination(2)
    assert not found.replied(Reply(302, good=False))
    assert found.replied(Reply(400, good=False))
    assert not found.replied(Reply(302, good=False))
    assert found.replied(Reply(404, good=True))


@pytest.mark.parametrize(
    ("load", "relative", "availability"),
    [({}, False, 10), ({"a": 4}, False, 10), ({"a": 15}, False, 5), ({"b": 12}, False, -2), ({"a": 4}, True, 80)],
)
def test_availability(load, relative, availability):
    """The least of what is free, as a number or in percent."""
    found = destination(a=20, b=10)
    found.load.update(load)
    assert found.availability(["a", "b"], relative=relative) == availability


def test_nothing_is_free_of_nothing():
    """A capacity of 0 has nothing free, in percent, too."""
    found = destination(a=0)
    assert found.availability(["a"], relative=True) == 0
    assert found.availability(["a"], relative=False) == 0
