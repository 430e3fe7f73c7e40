"""Which destination gets a session, and how sessions are counted."""

import threading

import pytest
from evframe_load_balancer.balancing import NotAvailable, choose
from evframe_load_balancer.destinations import Destination
from evframe_load_balancer.options import DestinationOptions
from evframe_load_balancer.sessions import Sessions
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from evframe.testing import FakeClock


def destinations(*resources):
    return [
        Destination.make(DestinationOptions(id=n, group=1, uri=f"sip:{n}", resources=each))
        for n, each in enumerate(resources)
    ]


def loaded(found, **load):
    found.load.update(load)
    return found


def chosen(given, resources, *args, **options):
    try:
        return choose(given, resources, *args, **options).id
    except NotAvailable as error:
        return error.reason


def test_the_most_free_one_is_chosen():
    """As a number of sessions, the first of several equals."""
    given = destinations({"a": 10}, {"a": 20}, {"a": 20})
    assert chosen(given, ["a"]) == 1
    loaded(given[1], a=11)
    assert chosen(given, ["a"]) == 2


def test_the_scarcest_resource_counts():
    """Of several resources the one of which least is free."""
    given = destinations({"a": 100, "b": 1}, {"a": 5, "b": 5})
    assert chosen(given, ["a", "b"]) == 1
    assert chosen(given, ["a"]) == 0


def test_relative():
    """In percent a small one may have more free than a large one."""
    given = destinations({"a": 100}, {"a": 10})
    loaded(given[0], a=50)
    assert chosen(given, ["a"]) == 0
    assert chosen(given, ["a"], "r") == 1


def test_full_ones():
    """They are taken only when that is asked for, the least overloaded first."""
    given = destinations({"a": 1}, {"a": 1})
    loaded(given[0], a=2)
    loaded(given[1], a=1)
    assert chosen(given, ["a"]) == "no_capacity"
    assert chosen(given, ["a"], "n") == 1
    assert chosen(given, ["a"], "nr") == 1


def test_any_of_equals():
    """One is picked among those that are equal, and no other."""
    given = destinations({"a": 2}, {"a": 3}, {"a": 3})
    assert chosen(given, ["a"], "s", pick=lambda equal: equal[-1]) == 2
    assert {chosen(given, ["a"], "s") for _ in range(100)} == {1, 2}


def test_why_there_is_none():
    """No destination provides it, none that does is enabled, or all of them are full."""
    given = destinations({"a": 1}, {"b": 1})
    assert chosen(given, ["c"]) == "bad_resources"
    assert chosen(given, ["a", "b"]) == "bad_resources"
    assert chosen(given, ["a"], tried=[0]) == "no_destination"
    given[0].disable()
    assert chosen(given, ["a"]) == "no_destination"
    assert chosen([], ["a"]) == "bad_resources"


@pytest.mark.parametrize(("resources", "flags"), [([], ""), ("a", ""), (["a"], "x")])
def test_mistakes(resources, flags):
    """No resource, a text in place of a list, an unknown flag."""
    with pytest.raises(ValueError, match="expected"):
        choose(destinations({"a": 1}), resources, flags)


class SessionMachine(RuleBasedStateMachine):
    """The load of each resource is the number of sessions that use it, however they end."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock(0.0)
        self.given = destinations({"a": 3}, {"a": 2, "b": 2}, {"b": 4})
        self.sessions = Sessions(lambda _: self.given, Destination.disable, self.clock)
        self.open = []

    @rule(
        resources=st.sampled_from([["a"], ["b"], ["a", "b"], ["b", "b"]]),
        flags=st.sampled_from(["", "r", "s", "n"]),
        expire_s=st.sampled_from([None, 1.0, 5.0]),
    )
    def start(self, resources, flags, expire_s):
        try:
            session = self.sessions.start(1, resources, flags, expire_s)
        except NotAvailable:
            return
        self.open.append((session, None if expire_s is None else self.clock() + expire_s))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def release(self, data):
        session, _ = data.draw(st.sampled_from(self.open))
        session.release()
        session.release()
        self.open = [pair for pair in self.open if pair[0] is not session]

    @precondition(lambda self: self.open)
    @rule(data=st.data(), disable=st.booleans())
    def move(self, data, disable):
        session, _ = data.draw(st.sampled_from(self.open))
        before = session.destination
        try:
            assert session.next(disable=disable) is not before
        except NotAvailable:
            assert session.destination is before

    @rule(number=st.integers(0, 2))
    def enable(self, number):
        self.given[number].command(enabled=True)

    @rule(seconds=st.sampled_from([0.5, 2.0]))
    def wait(self, seconds):
        self.clock.advance(seconds)
        self.sessions.expire()
        self.open = [pair for pair in self.open if pair[1] is None or pair[1] > self.clock()]

    @invariant()
    def counted(self):
        for each in self.given:
            mine = [session for session, _ in self.open if session.destination is each]
            for name in each.capacity:
                assert each.load.get(name, 0) == sum(name in session.resources for session in mine)


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_released_session_does_not_move():
    """It has nothing to move."""
    sessions = Sessions(lambda _: destinations({"a": 1}), Destination.disable)
    with sessions.start(1, ["a"], "", None) as session:
        pass
    assert session.released
    with pytest.raises(ValueError, match="expected one that is not released"):
        session.next()


def test_released_sessions_leave_memory():
    """A session that is released takes no memory until its time would be over, whatever others last."""
    given = destinations({"a": 2})
    sessions = Sessions(lambda _: given, Destination.disable, FakeClock())
    lasting = sessions.start(1, ["a"], "", 60)
    for _ in range(1000):
        sessions.start(1, ["a"], "", 3600).release()
        assert len(sessions._ends) <= 2
    assert not lasting.released


def test_a_session_that_is_never_released_expires():
    """Its place is free again after its time, and its release does no harm then."""
    clock = FakeClock()
    given = destinations({"a": 1})
    sessions = Sessions(lambda _: given, Destination.disable, clock)
    session = sessions.start(1, ["a"], "", 10.0)
    clock.advance(9.9)
    with pytest.raises(NotAvailable, match="no_capacity"):
        sessions.start(1, ["a"], "", None)
    clock.advance(0.2)
    sessions.start(1, ["a"], "", None)
    session.release()
    assert given[0].load == {"a": 1}
    with pytest.raises(ValueError, match="expire_s: expected more than 0"):
        sessions.start(1, ["a"], "", 0)


def test_threads_never_share_a_place():
    """However many begin at once, no more have a place than there are."""
    given = destinations({"a": 3}, {"a": 4})
    sessions = Sessions(lambda _: given, Destination.disable)
    most = []

    def work():
        for _ in range(300):
            try:
                with sessions.start(1, ["a"], "", None):
                    most.append(max(each.load["a"] - each.capacity["a"] for each in given if each.load))
            except NotAvailable:
                pass

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 0
    assert [each.load["a"] for each in given if each.load] == [0] * sum(bool(each.load) for each in given)
