"""Several sockets as one: who gets which event, and what happens when one fails."""

import asyncio
import json
import random
import time
from contextlib import asynccontextmanager

import pytest
from evframe_mi import Management
from evframe_mi.testing import management
from evframe_virtual import Options, VirtualTransport
from evframe_virtual.handing import SLICE_EVENTS, HandOver

import evframe
from evframe.config import Config, CoreOptions
from evframe.delivery.limits import Limits
from evframe.testing import MemoryTransport, Peer, TransportContract, no_garbage, until


class Hidden(MemoryTransport):
    """Sockets with blanks and passwords."""

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        if scheme != "hidden":
            return None
        user, _, name = rest.rpartition("@")
        return HiddenSocket(user, name)

    @evframe.hookimpl
    def deliver(self, socket, batch):
        if not isinstance(socket, HiddenSocket):
            return None
        self.delivered.setdefault(socket.user, []).extend(batch.events)
        return True


class HiddenSocket:
    expires = True

    def __init__(self, user, name):
        self.user = user
        self.canonical = f"hidden:{name}"


class Away:
    """A member that is away until a test connects it."""

    def __init__(self, memory, name):
        self.memory, self.name, self.away, self.probes = memory, name, True, 0
        memory.when(name, self.deliver)

    def deliver(self, batch):
        if not batch.events:
            self.probes += 1
        if self.away:
            raise evframe.Unavailable("away")
        self.memory.delivered.setdefault(self.name, []).extend(batch.events)
        return True


@pytest.fixture
def memory():
    return MemoryTransport()


@pytest.fixture
def compose(memory):
    def compose(failover_timeout_s=30.0, **core):
        plugins = {
            "mi": Management(),
            "memory": memory,
            "hidden": Hidden(),
            "virtual": VirtualTransport(Options(failover_timeout_s)),
        }
        events = evframe.EventInterface(Config(core=CoreOptions(**core)), plugins=plugins)
        events.register_event("E_V")
        return events

    return compose


def numbers(memory, name):
    return [event[1] for event in memory.delivered.get(name, [])]


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = ("virtual:", "virtual: ", "virtual:FAILOVER", "virtual:failover memory:a", "virtual:FAILOVER memory:")

    def transport(self):
        return VirtualTransport()

    def _interface(self):
        return evframe.EventInterface(
            plugins={"mi": Management(), "memory": self.memory, "virtual": VirtualTransport()}
        )

    @pytest.fixture(autouse=True, params=["FAILOVER", "ROUND-ROBIN", "PARALLEL"])
    def policy(self, request, memory):
        self.memory = memory
        self.policy = request.param

    @asynccontextmanager
    async def peer(self):
        taken = 0

        async def receive(count):
            nonlocal taken
            await until(lambda: len(self.memory.delivered.get("a", [])) >= taken + count)
            got = [event.payload for event in self.memory.delivered["a"][taken : taken + count]]
            taken += count
            return got

        yield Peer(f"virtual:{self.policy} memory:a", receive)

    def test_what_belongs_to_others(self):
        """The schemes and the sockets of other transports are left to them."""
        super().test_what_belongs_to_others()


@pytest.mark.parametrize(
    ("rest", "canonical"),
    [
        ("PARALLEL memory:a memory:b", "PARALLEL memory:a memory:b"),
        ("PARALLEL memory:b memory:a", "PARALLEL memory:a memory:b"),
        ("FAILOVER memory:b memory:a", "FAILOVER memory:b memory:a"),
        ("  PARALLEL \t memory:a \t memory:b  ", "PARALLEL memory:a memory:b"),
        ("PARALLELmemory:a", "PARALLEL memory:a"),
        ("ROUND-ROBIN memory:a memory:a", "ROUND-ROBIN memory:a memory:a"),
        ("FAILOVER (ROUND-ROBIN memory:a memory:b) memory:c", "FAILOVER (ROUND-ROBIN memory:a memory:b) memory:c"),
        ("FAILOVER (PARALLEL memory:b (FAILOVER memory:a))", "FAILOVER (PARALLEL (FAILOVER memory:a) memory:b)"),
        ('FAILOVER "hidden:secret@two words" memory:a', 'FAILOVER "hidden:two words" memory:a'),
        ("FAILOVER hidden:secret@x", "FAILOVER hidden:x"),
        ("FAILOVER hidden:s@m(x)", 'FAILOVER "hidden:m(x)"'),
        ('FAILOVER "virtual:PARALLEL memory:a"', 'FAILOVER "virtual:PARALLEL memory:a"'),
    ],
)
def test_accepted_v10(compose, rest, canonical):
    """Each accepted row prints its canonical text, which is the same subscriber; V10: blanks, no passwords."""
    events = compose()
    lease = events.subscribe_event("E_V", f"virtual:{rest}")

    assert lease.subscriber.socket.canonical == f"virtual:{canonical}"
    assert "secret" not in json.dumps(events.describe(lease.subscriber.socket))
    if "hidden" not in rest:
        assert events.subscribe_event("E_V", f"virtual:{canonical}") is lease


@pytest.mark.parametrize(
    "rest",
    [
        "",
        " ",
        "parallel memory:a",
        "ANY memory:a",
        "PARALLELX memory:a",
        "PARALLEL",
        "FAILOVER ",
        "ROUND-ROBIN",
        "FAILOVER bogus:x",
        "FAILOVER MEMORY:a",
        "FAILOVER memory:",
        "FAILOVER memory:a memory:",
        "FAILOVER (ROUND-ROBIN memory:a",
        "FAILOVER memory:a)",
        "FAILOVER ()",
        "FAILOVER (memory:a)",
        'FAILOVER "memory:a',
        "(" * 20,
        "FAILOVER " + "(FAILOVER " * 20 + "memory:a" + ")" * 20,
    ],
)
def test_rejected_v5_v6(compose, rest):
    """V5, V6: what does not fit, and a member that does not, is an error at once."""
    events = compose()
    with pytest.raises(evframe.SocketError):
        events.subscribe_event("E_V", f"virtual:{rest}")
    assert events.subscriptions == []


async def test_parallel_v1(compose, memory):
    """V1: every member gets every event, whatever the others do; the event fails with the first reason."""
    events = compose(drain_timeout_s=0.1)

    def refuse(batch):
        raise evframe.Rejected("refused")

    memory.when("a", refuse)
    events.subscribe_event("E_V", "virtual:PARALLEL memory:a memory:b memory:c")
    async with events:
        for number in range(100):
            events.raise_event("E_V", [number])
        report = await events.raise_event_and_wait("E_V", [100])

    assert report[0].reason == "refused"
    assert numbers(memory, "b") == numbers(memory, "c") == list(range(101))
    assert events.statistics[0].reasons == {"refused": 101}


async def test_parallel_member_away_delays_nobody(compose, memory):
    """A member that is away gets its events later; the others do not wait for it."""
    events = compose()
    away = Away(memory, "a")
    events.subscribe_event("E_V", "virtual:PARALLEL memory:a memory:b")
    async with events:
        for number in range(3000):
            events.raise_event("E_V", [number])
        await until(lambda: len(numbers(memory, "b")) == 3000)
        away.away = False
        await until(lambda: len(numbers(memory, "a")) == 3000)
        await until(lambda: events.statistics[0].delivered == 3000)

    assert numbers(memory, "a") == list(range(3000))


@pytest.mark.parametrize("policy", ["FAILOVER", "PARALLEL", "ROUND-ROBIN"])
async def test_no_parameters_v3(compose, memory, policy):
    """V3: an event without parameters is delivered by members whose outcome comes later, as any other."""

    def later(name):
        async def take(batch):
            await asyncio.sleep(0)
            memory.delivered.setdefault(name, []).extend(batch.events)

        return take

    for name in "ab":
        memory.when(name, later(name))
    events = compose()
    events.subscribe_event("E_V", f"virtual:{policy} memory:a memory:b")
    async with events:
        for params in (None, [], {}, None):
            assert (await events.raise_event_and_wait("E_V", params))[0].delivered
    got = {name: len(memory.delivered.get(name, [])) for name in "ab"}
    assert got == {"FAILOVER": {"a": 4, "b": 0}, "PARALLEL": {"a": 4, "b": 4}, "ROUND-ROBIN": {"a": 2, "b": 2}}[policy]


async def test_failover_and_back_v9(compose, memory):
    """V9: the first healthy member gets the events; the first one again after its probe."""
    events = compose(failover_timeout_s=0.05)
    away = Away(memory, "a")
    away.away = False
    events.subscribe_event("E_V", "virtual:FAILOVER memory:a memory:b")
    async with events:
        await events.raise_event_and_wait("E_V")
        away.away = True
        for number in range(10):
            assert (await events.raise_event_and_wait("E_V", [number]))[0].delivered
        assert numbers(memory, "b") == list(range(10))
        away.away = False
        await until(
            lambda: events.describe(events.subscriptions[0].subscriber.socket)["members"][0]["state"] == "healthy"
        )
        assert (await events.raise_event_and_wait("E_V", ["back"]))[0].delivered

    assert memory.delivered["a"][-1][1] == "back"
    assert away.probes


async def test_other_options(compose, memory):
    """Another time holds for a member that has failed already, and members keep what waits for them."""
    events = compose(failover_timeout_s=1000.0)
    away, stuck = Away(memory, "a"), Away(memory, "c")
    events.subscribe_event("E_V", "virtual:FAILOVER memory:a memory:b")
    events.subscribe_event("E_V", "virtual:PARALLEL memory:b memory:c")
    async with events:
        for number in range(10):
            events.raise_event("E_V", [number])
        await until(lambda: len(numbers(memory, "b")) == 20)
        away.away = False
        events.plugin("virtual").reconfigure(Options(failover_timeout_s=0.02))
        failover, parallel = (lease.subscriber for lease in events.subscriptions)
        await until(lambda: events.describe(failover.socket)["members"][0]["state"] == "healthy")
        assert parallel.depth == 10
        stuck.away = False
        await until(lambda: not parallel.depth)
        assert (parallel.delivered, parallel.failed) == (10, 0)
    assert numbers(memory, "c") == list(range(10))


@pytest.mark.parametrize("policy", ["FAILOVER", "ROUND-ROBIN"])
async def test_no_event_waits_for_a_probe(compose, memory, policy):
    """A probe is one empty batch; while it hangs, the other member has the events, and no event waits."""
    events = compose(failover_timeout_s=0.0)
    probes = []

    def hang(batch):
        if batch.events:
            raise evframe.Unavailable("away")
        probes.append(asyncio.get_running_loop().create_future())
        return probes[-1]

    memory.when("a", hang)
    events.subscribe_event("E_V", f"virtual:{policy} memory:a memory:b")
    async with events:
        assert (await events.raise_event_and_wait("E_V", [0]))[0].delivered
        await until(lambda: probes)
        for number in range(1, 20):
            async with asyncio.timeout(1):
                assert (await events.raise_event_and_wait("E_V", [number]))[0].delivered
        assert [probe.done() for probe in probes] == [False]
        memory.when("a", None)
        probes[0].set_result(None)
        await until(
            lambda: events.describe(events.subscriptions[0].subscriber.socket)["members"][0]["state"] == "healthy"
        )
        for number in range(20, 22):
            assert (await events.raise_event_and_wait("E_V", [number]))[0].delivered

    assert numbers(memory, "b")[:20] == list(range(20))
    assert numbers(memory, "a")


@pytest.mark.parametrize("policy", ["FAILOVER", "ROUND-ROBIN"])
async def test_all_down_v2_v4(compose, memory, policy):
    """V2, V4: while all members are down events wait; the first to come back gets them, in order."""
    events = compose()
    a, b = Away(memory, "a"), Away(memory, "b")
    events.subscribe_event("E_V", f"virtual:{policy} memory:a memory:b")
    async with events:
        for number in range(2000):
            events.raise_event("E_V", [number])
        await until(lambda: a.probes and b.probes)
        assert events.statistics[0].depth == 2000
        b.away = False
        await until(lambda: events.statistics[0].delivered == 2000)

    assert numbers(memory, "b") == list(range(2000))


async def test_round_robin_v2(compose, memory):
    """V2: healthy members take turns; one that failed is left out, and nothing is lost."""
    events = compose()
    events.subscribe_event("E_V", "virtual:ROUND-ROBIN memory:a memory:b memory:c")
    async with events:
        for number in range(30):
            await events.raise_event_and_wait("E_V", [number])
        assert [numbers(memory, name) for name in "abc"] == [list(range(start, 30, 3)) for start in range(3)]
        Away(memory, "b")
        for number in range(30, 60):
            assert (await events.raise_event_and_wait("E_V", [number]))[0].delivered

    assert sorted(numbers(memory, "a") + numbers(memory, "b") + numbers(memory, "c")) == list(range(60))
    assert len(numbers(memory, "b")) == 10


@pytest.mark.parametrize("ends", ["unsubscribed", "shutdown"])
async def test_what_members_have_is_delivered_when_the_rest_is_cut_off(compose, memory, ends):
    """At the end, events that a member has taken count as delivered, though another member took none of that batch."""

    async def hangs(batch):
        await asyncio.Event().wait()

    socket = "virtual:ROUND-ROBIN memory:a memory:b"
    memory.when("b", hangs)
    events = compose(drain_timeout_s=0.0)
    subscriber = events.subscribe_event("E_V", socket).subscriber
    async with events:
        for number in range(100):
            events.raise_event("E_V", [number])
        await until(lambda: len(numbers(memory, "a")) == 50)
        if ends == "unsubscribed":
            events.unsubscribe_event("E_V", socket)
            await until(lambda: not subscriber.depth)
    assert (subscriber.delivered, subscriber.reasons) == (50, {ends: 50})


async def test_round_robin_prefers_who_is_not_behind(compose, memory):
    """A member that hangs is left with what it has; the others get the rest."""
    events = compose(drain_timeout_s=0.1)
    memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
    events.subscribe_event("E_V", "virtual:ROUND-ROBIN memory:a memory:b")
    async with events:
        for number in range(100):
            events.raise_event("E_V", [number])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await until(lambda: events.statistics[0].depth <= 2)
        assert len(numbers(memory, "b")) >= 98


@pytest.mark.parametrize("policy", ["FAILOVER", "ROUND-ROBIN"])
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("fails", ["reason", "rejected", "plugin error"])
async def test_event_fails_over_v2_v11(compose, memory, policy, later, fails):
    """V2, V11: an event that one member fails, at once or later, goes to the next; one that all fail has the last reason."""
    events = compose()

    def fail(batch):
        if batch.events and fails != "reason":
            raise evframe.Rejected("refused") if fails == "rejected" else RuntimeError("refused")
        for index in range(len(batch.events)):
            batch.fail(index, "refused")
        return True

    async def fail_later(batch):
        await asyncio.sleep(0)
        fail(batch)

    memory.when("a", fail_later if later else fail)
    events.subscribe_event("E_V", f"virtual:{policy} memory:a memory:b")
    async with events:
        for number in range(5):
            assert (await events.raise_event_and_wait("E_V", [number]))[0].delivered
        assert numbers(memory, "b") == list(range(5))
        memory.when("b", fail_later if later else fail)
        report = await events.raise_event_and_wait("E_V", [5], timeout_s=20)
        assert report[0].reason == ("plugin_error" if fails == "plugin error" else "refused")


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_parallel_outcome_v11(compose, memory, later):
    """V11: an event is delivered when all members have it, whenever that is, and failed when one has failed it."""
    events = compose()
    fate = {"a": None, "b": None}

    def behave(name):
        def now(batch):
            for index in range(len(batch.events)):
                if fate[name]:
                    batch.fail(index, fate[name])
            return True

        async def after(batch):
            await asyncio.sleep(0.01)
            now(batch)

        return after if later else now

    for name in fate:
        memory.when(name, behave(name))
    events.subscribe_event("E_V", "virtual:PARALLEL memory:a memory:b")
    async with events:
        reasons = []
        for fate["a"], fate["b"] in [(None, None), ("refused", None), (None, "refused")]:
            reasons.append((await events.raise_event_and_wait("E_V"))[0].reason)
    assert reasons == [None, "refused", "refused"]


@pytest.mark.parametrize("slice_events", [1, 7, SLICE_EVENTS])
@pytest.mark.parametrize("seed", range(10))
async def test_hand_over_keeps_order_whatever_fails(compose, memory, monkeypatch, seed, slice_events):
    """However a member fails with batches under way, the next one has what it has not delivered, once and in order."""
    monkeypatch.setattr("evframe_virtual.handing.SLICE_EVENTS", slice_events)
    chance = random.Random(seed)
    memory.limits = Limits(in_flight=400)
    at_first = []

    async def take(batch):
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        fate = chance.choice(["away", "refused", "some", "fine", "fine", "fine"])
        if fate == "away":
            raise evframe.Unavailable("away")
        if fate == "refused":
            raise evframe.Rejected("refused")
        for index, event in enumerate(batch.events):
            if fate == "some" and chance.randrange(2):
                batch.fail(index, "refused")
            else:
                at_first.append(event[1])

    events = compose()
    memory.when("a", take)
    events.subscribe_event("E_V", "virtual:FAILOVER memory:a memory:b")
    async with events:
        for number in range(2000):
            events.raise_event("E_V", [number])
            if not chance.randrange(3):
                await asyncio.sleep(0)
        await until(lambda: not events.statistics[0].depth)

    assert sorted(at_first + numbers(memory, "b")) == list(range(2000))
    assert numbers(memory, "b") == sorted(numbers(memory, "b"))


async def test_member_with_a_full_queue(compose, memory):
    """What finds no room at a member goes to the next one; the member is behind, and has not failed."""
    events = compose(queue_size=50)
    open_ = asyncio.get_running_loop().create_future()

    async def stands_still(batch):
        await open_
        memory.delivered.setdefault("a", []).extend(batch.events)

    memory.when("a", stands_still)
    events.subscribe_event("E_V", "virtual:FAILOVER memory:a memory:b")
    async with events:
        for number in range(300):
            events.raise_event("E_V", [number])
            await asyncio.sleep(0)
        await until(lambda: len(numbers(memory, "b")) > 200)
        assert events.describe("virtual:FAILOVER memory:a memory:b")["members"][0]["state"] == "healthy"
        open_.set_result(None)
        await until(lambda: events.statistics[0].delivered == 300)
    assert numbers(memory, "a") + numbers(memory, "b") == list(range(300))


async def test_full_queue_is_handed_over(compose, memory):
    """A member that fails with a full queue hands all of it over, though the next one has no more room than it had."""
    events = compose(queue_size=50)
    died = asyncio.get_running_loop().create_future()

    async def dies(batch):
        await died
        raise evframe.Unavailable("died")

    memory.when("a", dies)
    events.subscribe_event("E_V", "virtual:FAILOVER memory:a memory:b")
    async with events:
        for number in range(51):
            events.raise_event("E_V", [number])
            await asyncio.sleep(0)
        died.set_result(None)
        for number in range(51, 80):
            events.raise_event("E_V", [number])
            await asyncio.sleep(0)
        await until(lambda: events.statistics[0].delivered == 80)
    assert sorted(numbers(memory, "b")) == list(range(80))


async def test_hand_over_keeps_order_v8(compose, memory):
    """V8: what a failing member had not begun goes to the next one in order; each event arrives once."""
    events = compose()
    first = []

    def dies(batch):
        if len(first) >= 2500:
            raise evframe.Unavailable("died")
        first.extend(batch.events)
        return True

    memory.when("a", dies)
    events.subscribe_event("E_V", "virtual:FAILOVER memory:a memory:b")
    async with events:
        for number in range(10_000):
            events.raise_event("E_V", [number])
        await until(lambda: not events.statistics[0].depth)

    assert [event[1] for event in first] + numbers(memory, "b") == list(range(10_000))


async def test_nesting_v5_v11(compose, memory):
    """V5, V11: a policy inside another works, fails over as a whole, and leaves without harm."""
    events = compose()
    Away(memory, "a")
    Away(memory, "b")
    socket = "virtual:FAILOVER (ROUND-ROBIN memory:a memory:b) (PARALLEL memory:c memory:d)"
    events.subscribe_event("E_V", socket)
    async with events:
        inner = "virtual:ROUND-ROBIN memory:a memory:b"
        report = await events.raise_event_and_wait("E_V", [1], timeout_s=20)
        state = events.describe(events.subscriptions[0].subscriber.socket)["members"]
        assert state[0]["socket"] == inner
        assert events.unsubscribe_event("E_V", socket)

    assert report[0].delivered
    assert numbers(memory, "c") == numbers(memory, "d") == [1]


async def test_listing_tells_the_members(compose, memory):
    """The listing has the state, the counters and the next probe of every member."""
    events = compose()
    Away(memory, "a")
    events.subscribe_event("E_V", "virtual:FAILOVER memory:a memory:b")
    request = b'{"jsonrpc":"2.0","id":1,"method":"subscribers_list","params":["E_V"]}'
    idle = json.loads(management(events).handle(request))["result"]["Event"]["Subscribers"][0]["members"]
    async with events:
        await events.raise_event_and_wait("E_V", [1])
        described = events.describe("virtual:FAILOVER memory:a memory:b")["members"]
        first, second = json.loads(management(events).handle(request))["result"]["Event"]["Subscribers"][0]["members"]

    assert idle == [{"socket": "memory:a", "state": "idle"}, {"socket": "memory:b", "state": "idle"}]
    assert (first["state"], second["state"], second["delivered"]) == ("failed", "healthy", 1)
    assert (first["delivered"], first["failed"], first["handed_over"], first["depth"]) == (0, 0, 1, 0)
    assert [member["socket"] for member in described] == ["memory:a", "memory:b"]
    assert (described[0]["state"], described[1]) == ("failed", second)
    assert 0 < first["next_probe_s"] <= 30
    assert first["failed_for_s"] >= 0


async def test_nothing_is_left_behind_v7(compose, memory):
    """V7: a thousand events through every policy leave nothing behind, and the members go with the subscriber."""
    events = compose()
    sockets = [
        f"virtual:{policy} memory:{policy[0]}1 memory:{policy[0]}2"
        for policy in ("PARALLEL", "FAILOVER", "ROUND-ROBIN")
    ]
    async with events:
        for socket in sockets:
            events.subscribe_event("E_V", socket)
        for number in range(1000):
            events.raise_event("E_V", [number])
        await until(lambda: not any(counters.depth for counters in events.statistics))
        for counters in events.statistics[:3]:
            assert counters.delivered == 1000
        for socket in sockets:
            events.unsubscribe_event("E_V", socket)
        await until(lambda: len(memory.released) == 6)
        assert events._roster._members == set()


async def test_member_that_is_a_subscriber_too(compose, memory):
    """A socket that is subscribed itself keeps going when a member with the same socket leaves."""
    events = compose()
    events.subscribe_event("E_V", "memory:a")
    events.subscribe_event("E_V", "virtual:FAILOVER memory:a")
    async with events:
        await events.raise_event_and_wait("E_V", [1])
        events.unsubscribe_event("E_V", "virtual:FAILOVER memory:a")
        await until(lambda: not events._roster._members)
        assert memory.released == []
        await events.raise_event_and_wait("E_V", [2])

    assert numbers(memory, "a") == [1, 1, 2]


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_bad_timeout_v12(value):
    """V12: a negative time is an error that names the option."""
    with pytest.raises(ValueError, match="failover_timeout_s: expected"):
        Options(value)


def call(events, method, *params):
    answer = json.loads(
        management(events).handle(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        )
    )
    return answer.get("result", answer.get("error"))


FAILOVER = "virtual:FAILOVER memory:a memory:b"


async def test_member_that_is_disabled(compose, memory):
    """A member that an operator disables gets nothing until it is enabled, whatever the others do."""
    async with compose() as events:
        events.subscribe_event("E_V", FAILOVER)
        assert call(events, "virtual:disable", FAILOVER, "memory:a") == "OK"
        assert (await events.raise_event_and_wait("E_V", [1]))[0].delivered
        assert [member["state"] for member in call(events, "virtual:members", FAILOVER)["Members"]] == [
            "disabled",
            "healthy",
        ]
        memory.when("b", lambda batch: [batch.fail(0, "bad")] and True)
        assert (await events.raise_event_and_wait("E_V", [2]))[0].reason == "bad"
        assert call(events, "virtual:enable", FAILOVER, "memory:a") == "OK"
        assert (await events.raise_event_and_wait("E_V", [3]))[0].delivered
    assert [event[1] for event in memory.delivered["a"]] == [3]
    assert [event[1] for event in memory.delivered["b"]] == [1]


async def test_disabled_member_that_had_failed_is_asked_first(compose, memory):
    """A member that is away while it is disabled is not probed; enabled, it is asked at once."""
    away = Away(memory, "a")
    async with compose(failover_timeout_s=0.001) as events:
        events.subscribe_event("E_V", FAILOVER)
        await events.raise_event_and_wait("E_V", [1])
        await until(lambda: away.probes > 1)
        call(events, "virtual:disable", FAILOVER, "memory:a")
        probes = away.probes
        await events.raise_event_and_wait("E_V", [2])
        away.away = False
        assert away.probes <= probes + 1
        call(events, "virtual:enable", FAILOVER, "memory:a")
        await until(lambda: call(events, "virtual:members", FAILOVER)["Members"][0]["state"] == "healthy")
        await events.raise_event_and_wait("E_V", [3])
    assert [event[1] for event in memory.delivered["a"]] == [3]


async def test_all_members_disabled(compose, memory):
    """While every member is disabled the events wait."""
    async with compose() as events:
        lease = events.subscribe_event("E_V", FAILOVER)
        for member in ("memory:a", "memory:b"):
            call(events, "virtual:disable", FAILOVER, member)
        events.raise_event("E_V", [1])
        await until(lambda: lease.subscriber.attempts)
        call(events, "virtual:enable", FAILOVER, "memory:b")
        await until(lambda: memory.delivered.get("b"))
    assert "a" not in memory.delivered


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("virtual:members", ["virtual:FAILOVER memory:x memory:y"], 404, "Subscriber does not exist"),
        ("virtual:members", ["memory:a"], 404, "Subscriber does not exist"),
        ("virtual:members", ["nosuch:a"], 404, "Subscriber does not exist"),
        ("virtual:disable", [FAILOVER, "memory:c"], 404, "Member does not exist"),
        ("virtual:enable", ["virtual:PARALLEL memory:a memory:b", "memory:a"], 400, "Bad parameter value"),
        ("virtual:disable", [FAILOVER, {}], -32602, "Invalid params"),
    ],
)
async def test_commands_refuse(compose, method, params, code, message):
    """A command about what is not there is an error that says so."""
    async with compose() as events:
        events.subscribe_event("E_V", FAILOVER)
        events.subscribe_event("E_V", "virtual:PARALLEL memory:a memory:b")
        answer = call(events, method, *params)
    assert (answer["code"], answer["message"]) == (code, message)


@pytest.mark.parametrize("policy", ["FAILOVER", "ROUND-ROBIN", "PARALLEL"])
@pytest.mark.parametrize("members", ["memory:a memory:b", "memory:away memory:b", "memory:away memory:away2", "memory:bad memory:a", "(FAILOVER memory:away memory:a) memory:b"])  # fmt: skip
async def test_an_ended_group_leaves_nothing(compose, memory, policy, members):
    """A group that has ended, its members and their probes leave memory without the cyclic collector."""

    async def hangs(batch):
        await asyncio.sleep(0)
        raise evframe.Unavailable("away")

    Away(memory, "away")
    memory.when("away2", hangs)
    memory.when("bad", lambda batch: [batch.fail(index, "refused") for index in range(len(batch.events))] and True)
    events = compose(failover_timeout_s=0.02, drain_timeout_s=0.1)
    socket = f"virtual:{policy} {members}"

    async def come_and_leave():
        events.subscribe_event("E_V", socket)
        for n in range(3):
            await events.raise_event_and_wait("E_V", [n], timeout_s=0.05)
        events.unsubscribe_event("E_V", socket)
        await until(lambda: len(events.statistics) == 1 and not events._roster._members)
        await asyncio.sleep(0)

    async with events:
        await come_and_leave()
        with no_garbage():
            await come_and_leave()
        assert not events._roster._member_sockets


@pytest.mark.parametrize("policy", ["FAILOVER", "ROUND-ROBIN"])
async def test_a_handed_over_event_has_its_full_time(compose, memory, policy):
    """What a member fails, or has not begun, has its full time at the next one; its name, parameters and raise stay."""
    taken, slow = [], []

    def fail(batch):
        slow.append(asyncio.get_running_loop().create_future())
        slow[-1].add_done_callback(lambda _: [batch.fail(index, "timeout") for index in range(len(batch.events))])
        return slow[-1]

    def take(batch):
        taken.extend(batch.events)
        return True

    memory.when("a", fail)
    memory.when("b", take)
    events = compose()
    async with events:
        events.subscribe_event("E_V", f"virtual:{policy} memory:a memory:b")
        raises = [asyncio.create_task(events.raise_event_and_wait("E_V", [n])) for n in range(4)]
        await until(lambda: slow)
        began = time.monotonic()
        slow[0].set_result(None)
        assert all([(await each)[0].delivered for each in raises])
    assert sorted(event.params for event in taken) == [(0,), (1,), (2,), (3,)]
    late = [event for event in taken if event.since >= began]
    assert len(late) >= 2
    assert all(event.raised_at < began and event.payload for event in taken)
    assert {event.since - event.raised_at for event in taken if event not in late} <= {0.0}


async def test_an_event_that_waited_for_a_member_has_its_full_time(compose, memory):
    """What waited until a member was back has its full time there."""
    taken, a = [], Away(memory, "a")
    events = compose(failover_timeout_s=0.01)
    async with events:
        events.subscribe_event("E_V", "virtual:FAILOVER memory:a")
        raises = [asyncio.create_task(events.raise_event_and_wait("E_V", [n])) for n in range(3)]
        await until(lambda: a.probes)
        began = time.monotonic()
        a.away = False
        memory.when("a", lambda batch: taken.extend(batch.events) or True)
        assert all([(await each)[0].delivered for each in raises])
    assert [event.since >= began for event in taken] == [True] * 3


@pytest.mark.parametrize("policy", ["FAILOVER", "ROUND-ROBIN"])
@pytest.mark.parametrize("disable", [False, True])
async def test_a_long_queue_is_handed_over_in_slices(compose, memory, monkeypatch, policy, disable):
    """However long the queue of a member is, one step hands over a bounded part of it, before what is newer."""
    steps = []
    step = HandOver._step

    def counted(self):
        before = events.describe(socket)["members"]
        step(self)
        after = events.describe(socket)["members"]
        steps.append(sum(b["handed_over"] - a["handed_over"] for a, b in zip(before, after, strict=True)))

    monkeypatch.setattr(HandOver, "_step", counted)
    events, open_ = compose(), asyncio.get_running_loop().create_future()

    async def hangs(batch):
        if batch.events:
            await open_
        raise evframe.Unavailable("away")

    socket = f"virtual:{policy} memory:a memory:b"
    memory.when("a", hangs)
    memory.when("b", hangs if policy == "ROUND-ROBIN" else None)
    lease = events.subscribe_event("E_V", socket)
    async with events:
        for number in range(40_000):
            events.raise_event("E_V", [number])
            if number % 1000 == 0:
                await asyncio.sleep(0)
        await until(lambda: not lease.subscriber.queue)
        if disable and policy == "FAILOVER":
            call(events, "virtual:disable", socket, "memory:a")
        memory.when("b", None)
        open_.set_result(None)
        for number in range(40_000, 50_000):
            events.raise_event("E_V", [number])
            if number % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: not lease.subscriber.depth)
    assert lease.subscriber.delivered == 50_000
    assert sorted(numbers(memory, "b")) == list(range(50_000))
    assert max(steps) <= SLICE_EVENTS < 40_000 // 2
    if policy == "FAILOVER" and not disable:
        assert numbers(memory, "b") == list(range(50_000))


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("PARALLEL memory:c memory:a memory:b", "PARALLEL memory:a memory:b memory:c"),
        ("FAILOVER (PARALLEL memory:c memory:b) memory:a", "FAILOVER (PARALLEL memory:b memory:c) memory:a"),
        (
            'PARALLEL memory:c "virtual:PARALLEL memory:b memory:a"',
            'PARALLEL "virtual:PARALLEL memory:a memory:b" memory:c',
        ),
    ],
)
async def test_parallel_is_listed_as_it_was_subscribed_first(compose, first, again):
    """Every listing has the members in the order of the first subscription; in another order it is the same lease."""
    events = compose()

    def listed(method, *params):
        return events.commands.find(method).run(dict(zip(("event", "socket"), params, strict=False)))

    async with events:
        lease = events.subscribe_event("E_V", f"virtual:{first}", 60)
        assert events.subscribe_event("E_V", f"virtual:{again}", 60) is lease
        await events.raise_event_and_wait("E_V", {})
        (subscriber,) = listed("evi:subscribers", "E_V")["Event"]["Subscribers"]
        assert subscriber["socket"] == f"virtual:{first}"
        assert (
            listed("evi:subscribers", "E_V", f"virtual:{again}")["Event"]["Subscriber"]["socket"] == f"virtual:{first}"
        )
        assert events.statistics[0].socket == f"virtual:{first}"
        assert events.unsubscribe_event("E_V", f"virtual:{again}")
        assert events.subscribe_event("E_V", f"virtual:{again}") is not lease
        assert events.statistics[0].socket == f"virtual:{again}"


async def test_a_member_that_is_enabled_often_is_probed_as_seldom_as_before(memory, compose):
    """However often a member that has failed is disabled and enabled, one probe waits for its time."""
    async with asyncio.timeout(30), compose() as events:
        Away(memory, "a")
        events.subscribe_event("E_V", "virtual:FAILOVER memory:a memory:b")
        events.raise_event("E_V", [1])
        await until(lambda: memory.delivered)
        group = events.plugin("virtual").find("virtual:FAILOVER memory:a memory:b")
        candidate = group.find("memory:a")
        for _ in range(10):
            candidate.disable()
            group.enable(candidate)
        retries = events._roster.scheduler.retries._retries
        await until(lambda: len(retries) == 1)


@pytest.mark.parametrize("policy", ["FAILOVER", "ROUND-ROBIN"])
async def test_an_event_that_a_full_member_drops_displaces_none_of_another_full_member(memory, compose, policy):
    """With `drop_oldest` and every member full, each event has one outcome: no loss makes another member lose one."""
    outcomes, gate = [], asyncio.get_running_loop().create_future()
    for name in ("a", "b", "c"):
        memory.when(name, lambda _: gate)
    async with asyncio.timeout(30), compose(overflow="drop_oldest", queue_size=500) as events:
        socket = f"virtual:{policy} memory:a memory:b memory:c"
        subscriber = events.subscribe_event("E_V", socket).subscriber
        for number in range(5000):
            events.raise_event_and_tell("E_V", [number], outcomes.append)
            if number % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: not subscriber.queue)
        for name in ("a", "b", "c"):
            memory.when(name, None)
        gate.set_result(None)
        await until(lambda: not subscriber.depth)
        members = events.describe(socket)["members"]
    assert len(outcomes) == 5000
    assert outcomes.count(["queue_full"]) == subscriber.reasons["queue_full"] == subscriber.failed
    assert outcomes.count([None]) == subscriber.delivered == sum(member["delivered"] for member in members)


async def test_no_event_overtakes_one_that_waits_for_a_member(memory, compose):
    """An event that no member could take is sent before later ones, also when its batch is held up by another event."""
    memory.limits = Limits(batch_events=1)
    gate = asyncio.get_running_loop().create_future()
    memory.when("a", lambda _: gate)
    async with asyncio.timeout(30), compose(failover_timeout_s=0.0) as events:
        away = Away(memory, "b")
        socket = "virtual:FAILOVER memory:a memory:b"
        subscriber = events.subscribe_event("E_V", socket).subscriber
        group = events.plugin("virtual").find(socket)
        events.raise_event("E_V", [1])
        events.raise_event("E_V", [2])
        await until(lambda: group.find("memory:a").member.depth == 2)
        group.find("memory:a").disable()  # 1 is under way there; 2 goes to b, which is away
        await until(lambda: not group.find("memory:b").is_healthy)
        away.away = False
        await until(lambda: group.find("memory:b").is_healthy)
        events.raise_event("E_V", [3])
        await until(lambda: subscriber.away)
        gate.set_result(None)
        await until(lambda: not subscriber.depth)
    assert numbers(memory, "b") == [2, 3]


async def test_a_member_that_has_ended_is_not_probed(memory, compose):
    """A probe that waits for its turn while the subscriber ends opens nothing, such as the group of a member."""
    async with asyncio.timeout(30), compose() as events:
        Away(memory, "a")
        socket = "virtual:FAILOVER (FAILOVER memory:a) memory:b"
        events.subscribe_event("E_V", socket)
        events.raise_event("E_V", [1])
        await until(lambda: memory.delivered)
        virtual = events.plugin("virtual")
        group = virtual.find(socket)
        [candidate, _] = group.candidates
        await until(lambda: not candidate.is_healthy)
        group.enable(candidate)
        member = candidate.member
        events.unsubscribe_event("E_V", socket)
        await until(lambda: {"a", "b"} <= set(memory.released))
        assert await member.probe(1.0) is False
        assert not virtual._groups
