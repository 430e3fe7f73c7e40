"""Leases: made, refreshed, listed and ended."""

import asyncio
import weakref

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import evframe
from evframe.testing import MemorySocket, MemoryTransport, until


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def events(memory, clock):
    events = evframe.EventInterface(plugins={"memory": memory}, clock=lambda: clock[0])
    events.register_event("E_A")
    events.register_event("E_B")
    return events


@pytest.mark.parametrize(
    ("first", "again", "expire_s"),
    [(0, 0, 0), (60, 0, 60), (0, 60, 60), (60, 30, 30), (30, 60, 60)],
)
def test_refresh_q17(events, clock, first, again, expire_s):
    """Q-17: a refresh restarts the clock; never → expiring takes effect, expiring → never keeps its time."""
    events.subscribe_event("E_A", "memory:a", first)
    clock[0] += 20
    lease = events.subscribe_event("E_A", "memory:a", again)

    assert lease.expire_s == expire_s
    assert len(events.subscriptions) == 1
    if expire_s:
        assert events.remaining_s(lease) == expire_s


async def test_refresh_during_a_delivery_q17(memory, clock, events):
    """Q-17: what a refresh changes while an event is under way to the subscriber stays when that is over."""
    gate = asyncio.Event()

    async def slow(batch):
        await gate.wait()

    memory.when("a", slow)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        raising = asyncio.create_task(events.raise_event_and_wait("E_A"))
        await until(lambda: events.statistics[0].depth)
        lease = events.subscribe_event("E_A", "memory:a", 60)
        gate.set()
        assert (await raising)[0].delivered
        assert (lease.expire_s, events.remaining_s(lease)) == (60, 60)
        clock[0] += 60
        assert events.subscriptions == []


def test_remaining_time_is_true(events, clock):
    """The remaining time counts down and the lease ends at its time."""
    lease = events.subscribe_event("E_A", "memory:a", 60)
    clock[0] += 59.5
    assert events.remaining_s(lease) == 1
    clock[0] += 0.5
    assert events.subscriptions == []


async def test_timer_ends_a_lease(memory):
    """A lease ends by a timer, without a raise or a listing, and its transport is told."""
    events = evframe.EventInterface(plugins={"memory": memory})
    events.register_event("E_A")
    async with events, asyncio.timeout(20):
        events.subscribe_event("E_A", "memory:long", 100)
        events.subscribe_event("E_A", "memory:short", 1)
        while "short" not in memory.released:
            await asyncio.sleep(0.01)
        assert [lease.subscriber.socket.name for lease in events.subscriptions] == ["long"]


def test_newest_first(events):
    """Subscribers are served newest first; a refresh keeps the place."""
    for name in "abc":
        events.subscribe_event("E_A", f"memory:{name}")
    events.subscribe_event("E_A", "memory:a")

    assert [subscriber.socket.name for subscriber in events.event("E_A").targets] == ["c", "b", "a"]


def test_one_subscriber_for_many_events(events, memory):
    """A socket is one subscriber; it is released with its last lease."""
    first = events.subscribe_event("E_A", "memory:a")
    second = events.subscribe_event("E_B", "memory:a")
    assert first.subscriber is second.subscriber
    assert events.unsubscribe_event("E_A", "memory:a")
    assert memory.released == []
    assert events.unsubscribe_event("E_B", "memory:a")
    assert memory.released == ["a"]
    assert not events.unsubscribe_event("E_B", "memory:a")


@pytest.mark.parametrize(
    ("name", "socket", "expire_s", "error"),
    [
        ("E_NONE", "memory:a", 0, evframe.UnknownEventError),
        ("E_A", "nosuch:a", 0, evframe.SocketError),
        ("E_A", "memory:", 0, evframe.SocketError),
        ("E_A", "memory", 0, evframe.SocketError),
        ("E_A", "", 0, evframe.SocketError),
        ("E_A", ":a", 0, evframe.SocketError),
        ("E_A", "MEMORY:a", 0, evframe.SocketError),
        ("E_A", None, 0, evframe.SocketError),
        ("E_A", b"memory:a", 0, evframe.SocketError),
        ("E_A", "memory:a", -1, ValueError),
        ("E_A", "memory:a", 1.5, ValueError),
        ("E_A", "memory:a", "60", ValueError),
        ("E_A", "memory:a", None, ValueError),
        ("E_A", "memory:a", True, ValueError),
    ],
)
def test_bad_subscriptions(events, name, socket, expire_s, error):
    """A subscription that cannot be made is one error and changes nothing."""
    with pytest.raises(error, match="expected"):
        events.subscribe_event(name, socket, expire_s)
    assert events.subscriptions == []


@pytest.mark.parametrize(
    ("socket", "shown"),
    [
        ("memory:user:pa ss@host", "memory:user:***@host"),
        ("nosuch:user:secret@host/x", "nosuch:user:***@host/x"),
        ("memory:p:u:secret@h memory:u:secret@h", "memory:p:***@h"),
        ("memory:host/topic?g.sasl.password=secret&x=1", "memory:host/topic?g.sasl.password=***&x=1"),
        ("memory:no:password", "memory:no:password"),
        ("memory:some@body", "memory:some@body"),
    ],
)
def test_no_password_in_an_error(events, socket, shown):
    """A socket that is refused is told without its password, which the log would keep."""
    with pytest.raises(evframe.SocketError, match="expected") as caught:
        events.subscribe_event("E_A", socket)

    for text in (str(caught.value), caught.value.socket, caught.value.problem):
        assert "secret" not in text
        assert "pa ss" not in text
    assert str(caught.value).startswith(f"socket {shown!r}: ")


class LeaseMachine(RuleBasedStateMachine):
    """Leases against a model: a table of deadlines."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.memory = MemoryTransport()
        self.events = evframe.EventInterface(plugins={"memory": self.memory}, clock=lambda: self.now)
        for event in ("E_A", "E_B"):
            self.events.register_event(event)
        self.model = {}

    keys = st.tuples(st.sampled_from(["E_A", "E_B"]), st.sampled_from(["memory:a", "memory:b", "memory:c"]))

    @rule(key=keys, expire_s=st.integers(0, 5))
    def subscribe(self, key, expire_s):
        self.events.subscribe_event(*key, expire_s)
        _, known = self.model.get(key, (None, 0))
        expire_s = expire_s or known
        self.model[key] = (self.now + expire_s if expire_s else None, expire_s)

    @rule(key=keys)
    def unsubscribe(self, key):
        assert self.events.unsubscribe_event(*key) == (self.model.pop(key, None) is not None)

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds):
        self.now += seconds
        self.events.expire()
        self.model = {key: value for key, value in self.model.items() if value[0] is None or value[0] > self.now}

    @invariant()
    def listing_is_the_model(self):
        listed = {
            (lease.event.name, lease.subscriber.socket.canonical): (
                lease.deadline if lease.expire_s else None,
                lease.expire_s,
            )
            for lease in self.events.subscriptions
        }
        assert listed == self.model
        for event in self.events.events:
            assert set(event.targets) == set(event.leases)
        assert set(self.events._roster.by_socket) == {socket for _, socket in self.model}
        timed = sum(bool(expire_s) for _, expire_s in self.model.values())
        assert len(self.events._leases._due) == timed


LeaseMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestLeaseMachine = LeaseMachine.TestCase


@pytest.mark.parametrize("others", [0, 10])
def test_ended_leases_leave_memory(events, others):
    """A lease that has ended before its time takes no memory until then, however often its socket comes again."""
    for number in range(others):
        events.subscribe_event("E_A", f"memory:{number}", 3600)
    ended = []
    for _ in range(1000):
        ended.append(weakref.ref(events.subscribe_event("E_A", "memory:a", 3600).subscriber.socket))
        events.unsubscribe_event("E_A", "memory:a")
        assert len(events._leases._due) == others
    assert sum(each() is not None for each in ended) <= others


def test_refreshes_are_cheap(events, clock):
    """A refresh, to a later or an earlier time, leaves the schedule one entry for the lease."""
    for expire_s in (100, 200, 300, *range(299, 100, -1)):
        clock[0] += 0.001
        events.subscribe_event("E_A", "memory:a", expire_s)
        assert len(events._leases._due) == 1


def test_a_lease_ends_within_a_sixteenth_of_a_second(events, clock):
    """A lease never ends before its time, and at most a sixteenth of a second after it."""
    clock[0] += 0.3
    for number in range(20):
        clock[0] += 0.01
        events.subscribe_event("E_A", f"memory:{number}", 60)
        ends = clock[0] + 60
        clock[0] = ends - 0.001
        assert len(events.subscriptions) == 1
        clock[0] = ends + 1 / 16
        assert events.subscriptions == []


@pytest.mark.parametrize("made", [None, object()])
def test_nothing_without_a_socket_q15(made):
    """Q-15: a transport that makes no socket of a text makes no subscriber either."""

    class Odd:
        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return made

    events = evframe.EventInterface(plugins={"odd": Odd()})
    events.register_event("E_A")
    with pytest.raises((evframe.SocketError, evframe.PluginError)):
        events.subscribe_event("E_A", "odd:x")
    assert events.subscriptions == []


def test_renewal_takes_the_new_socket():
    """A renewed subscription uses what its transport makes of the text now, such as a new address."""

    class Renewing(MemoryTransport):
        made = 0

        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            self.made += 1
            return MemorySocket(rest, expires=True)

    events = evframe.EventInterface(plugins={"memory": Renewing()})
    events.register_event("E_A")
    first = events.subscribe_event("E_A", "memory:a").subscriber.socket
    again = events.subscribe_event("E_A", "memory:a").subscriber.socket

    assert again is not first
    assert again == first
