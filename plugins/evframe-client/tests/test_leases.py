"""The leases of a subscription: taken, renewed, found lost, and left."""

from contextlib import suppress

import pytest
from evframe_client import ManagementError
from evframe_client.leases import Leases
from evframe_client.protocol import Request
from evframe_mi import Management
from evframe_mi.testing import ANY_SCHEME, management
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import evframe
from evframe.testing import FakeClock, MemoryTransport

SOCKET = "memory:me"
LEASE_S = 30


class Gateway:
    """An interface that answers calls, can be away, and can be started again."""

    def __init__(self, *names):
        self.clock = FakeClock()
        self.answers = None  # how many calls it answers yet, when that has an end
        self.takes = False  # whether it takes the calls that it does not answer
        self.calls = []
        self.restart(*names)

    def restart(self, *names):
        self.events = evframe.EventInterface(
            plugins={"mi": Management(ANY_SCHEME), "memory": MemoryTransport()}, clock=self.clock
        )
        for name in names:
            self.events.register_event(name)

    async def call(self, method, params):
        if self.answers is not None:
            if not self.answers:
                if self.takes:
                    self.handle(method, params)
                raise ManagementError("no answer")
            self.answers -= 1
        self.calls.append((method, params))
        return self.handle(method, params)

    def handle(self, method, params):
        request = Request(method, params)
        return request.result(management(self.events).handle(request.data))

    def subscribed(self):
        """Return the events that the subscriber has a lease of, each with the seconds that are left."""
        self.events.expire()
        leases = ((event.name, self.events.subscription(event.name, SOCKET)) for event in self.events.events)
        return {name: self.events.remaining_s(lease) for name, lease in leases if lease is not None}


def run(coroutine):
    """Run what needs no loop: the gateway answers at once."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def leases_at(gateway, *patterns, look_s=1.0):
    return Leases(gateway.call, SOCKET, patterns, LEASE_S, look_s, gateway.clock)


def test_what_matches_is_subscribed_and_left():
    """The events that match are subscribed with the lease that is wanted, renewed before it ends, and left."""
    gateway = Gateway("E_A", "E_B", "F_A")
    leases = leases_at(gateway, "E_*", "F_?")

    run(leases.look())
    assert gateway.subscribed() == {"E_A": 30, "E_B": 30, "F_A": 30}
    assert leases.names == ("E_A", "E_B", "F_A")
    gateway.clock.advance(9.9)
    run(leases.look())
    assert set(gateway.subscribed().values()) == {21}
    gateway.clock.advance(0.2)
    run(leases.look())
    assert set(gateway.subscribed().values()) == {30}
    run(leases.leave())
    assert gateway.subscribed() == {}
    assert (leases.names, leases.interruptions) == ((), 0)


@pytest.mark.parametrize(
    ("patterns", "subscribed"),
    [
        (("*",), {"E_A"}),
        (("E_*",), {"E_A"}),
        (("E_*", "E_CORE_*"), {"E_A", "E_CORE_TCP_DISCONNECT"}),
        (("E_EVFRAME_LEASE_MADE",), {"E_EVFRAME_LEASE_MADE"}),
    ],
)
def test_what_asking_brings_about_is_asked_for_by_name(patterns, subscribed):
    """A subscriber of everything gets no events about its requests, unless it asks for them."""
    gateway = Gateway("E_A", "E_CORE_TCP_DISCONNECT", "E_EVFRAME_LEASE_MADE")
    run(leases_at(gateway, *patterns).look())
    assert set(gateway.subscribed()) == subscribed


def test_quiet_rounds_are_two_calls():
    """While nothing happens a look costs two calls, however many events there are; each lease has its turn."""
    gateway = Gateway("E_A", "E_B", "E_C")
    leases = leases_at(gateway, "*")
    run(leases.look())
    gateway.calls.clear()
    for _ in range(4):
        run(leases.look())

    assert [params for method, params in gateway.calls if method == "subscribers_list"] == [
        [name, SOCKET] for name in ("E_A", "E_B", "E_C", "E_A")
    ]
    assert len(gateway.calls) == 8


@pytest.mark.parametrize("names", [("E_A", "E_B"), ("E_B",), ("E_A", "E_B", "E_C")])
def test_restart(names):
    """A gateway that was started again is noticed at once, whether it has the same events or others."""
    gateway = Gateway("E_A", "E_B")
    leases = leases_at(gateway, "E_*")
    run(leases.look())
    gateway.restart(*names)
    run(leases.look())

    assert gateway.subscribed() == dict.fromkeys(names, 30)
    assert leases.interruptions == 1


def test_gateway_that_is_away_is_asked_less_often(caplog):
    """While the gateway is away the pauses grow up to a limit; that is reported once, and so is its return."""
    gateway = Gateway("E_A")
    leases = leases_at(gateway, "*")
    caplog.set_level("INFO", "evframe.client")

    def pause_s():
        run(leases.check())
        return leases.pause_s()

    assert leases.pause_s() == 1.0
    gateway.answers = 0
    pauses = [pause_s() for _ in range(13)]
    gateway.answers = None

    assert pauses[0] <= 0.05
    assert 1.0 <= pauses[-1] <= 2.0
    assert pause_s() == 1.0
    assert leases.names == ("E_A",)
    assert [record.message for record in caplog.records] == ["the gateway is away", "the gateway is back"]


def test_short_leases_are_looked_after_in_time():
    """A lease shorter than the usual pause is renewed in time all the same."""
    gateway = Gateway("E_A")
    leases = Leases(gateway.call, SOCKET, ["*"], 1, 60.0, gateway.clock)
    for _ in range(10):
        run(leases.check())
        gateway.clock.advance(leases.pause_s())
        assert gateway.subscribed() or not leases.names


def test_refusal_is_raised():
    """What the gateway answers to a subscription that it does not want is for the caller of the first look."""
    gateway = Gateway("E_A")
    with pytest.raises(ManagementError, match="400: Bad parameter value"):
        run(Leases(gateway.call, "nope:x", ["*"], LEASE_S, 1.0, gateway.clock).look())


def test_leaving_what_was_not_confirmed():
    """A subscription whose answer got lost is left too."""
    gateway = Gateway("E_A")
    leases = leases_at(gateway, "*")
    gateway.answers, gateway.takes = 1, True
    with pytest.raises(ManagementError):
        run(leases.look())
    assert (gateway.subscribed(), leases.names) == ({"E_A": 30}, ())
    gateway.answers = None
    run(leases.leave())

    assert gateway.subscribed() == {}


def test_leaving_in_the_middle():
    """Leases that were under suspicion when the gateway went away are left too."""
    gateway = Gateway("E_A", "E_B")
    leases = leases_at(gateway, "*")
    run(leases.look())
    gateway.events.unsubscribe_event("E_A", SOCKET)
    gateway.answers = 2  # enough to find that a lease was lost
    with pytest.raises(ManagementError):
        run(leases.look())
    assert leases.interruptions == 1
    gateway.answers = None
    run(leases.leave())

    assert gateway.subscribed() == {}


@pytest.mark.parametrize("answer", ["OK", None, [], {"Events": 1}, {"Events": [{}]}, {"events": []}])
def test_no_gateway(answer):
    """Something else that speaks JSON-RPC is not taken for a gateway."""

    async def call(method, params):
        return answer

    with pytest.raises(ManagementError, match="expected the events of a gateway, got"):
        run(Leases(call, SOCKET, ["*"], LEASE_S, 1.0).look())


def test_leaving_a_gateway_that_is_away_ends():
    """The client does not wait once for each event until a gateway that is away has not answered."""
    gateway = Gateway("E_A", "E_B", "E_C")
    leases = leases_at(gateway, "*")
    run(leases.look())
    gateway.calls.clear()
    gateway.answers = 1
    run(leases.leave())

    assert len(gateway.calls) == 1


NAMES = st.sampled_from(["E_A", "E_B", "E_C", "E_D", "X_A"])


class LeasesOfAGatewayThatChanges(RuleBasedStateMachine):
    """Whatever happens to the gateway, the leases exist again after a few looks, and none is left behind."""

    @initialize(names=st.sets(NAMES))
    def start(self, names):
        self.gateway = Gateway(*names)
        self.leases = leases_at(self.gateway, "E_*")

    @rule(name=NAMES)
    def register(self, name):
        if name not in {event.name for event in self.gateway.events.events}:
            self.gateway.events.register_event(name)

    @rule(names=st.sets(NAMES))
    def restart(self, names):
        self.gateway.restart(*names)

    @rule(name=NAMES)
    def somebody_unsubscribes(self, name):
        with suppress(LookupError):
            self.gateway.events.unsubscribe_event(name, SOCKET)

    @rule(seconds=st.floats(0, 2 * LEASE_S))
    def time_passes(self, seconds):
        self.gateway.clock.advance(seconds)

    @rule(answers=st.integers(0, 12), takes=st.booleans())
    def look_and_be_cut_off(self, answers, takes):
        self.gateway.answers, self.gateway.takes = answers, takes
        with suppress(ManagementError):
            run(self.leases.look())
        self.gateway.answers = None

    @rule()
    def settle(self):
        wanted = {event.name for event in self.gateway.events.events if event.name.startswith("E_")}
        for _ in range(len(wanted) + 1):
            run(self.leases.look())
        assert self.gateway.subscribed().keys() == set(self.leases.names) == wanted
        for _ in range(2 * LEASE_S):
            self.gateway.clock.advance(1.0)
            assert self.gateway.subscribed().keys() == wanted, "a lease has ended between two looks"
            run(self.leases.look())

    @rule()
    def leave(self):
        run(self.leases.leave())
        assert self.gateway.subscribed() == {}
        assert self.leases.names == ()


LeasesOfAGatewayThatChanges.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLeasesOfAGatewayThatChanges = LeasesOfAGatewayThatChanges.TestCase
