"""Limited queues in a whole interface, with a clock that stands still and a transport in memory."""

import asyncio
import time

import pytest
from call_counts import count_calls
from evframe_policies import Options, PoliciesPlugin

import evframe
from evframe import Unavailable
from evframe.config import CoreOptions
from evframe.plugin import MemoryQueue, Policy
from evframe.testing import FakeClock, MemoryTransport, until


class Peers(MemoryTransport):
    """Peers in memory, which can be away."""

    def __init__(self):
        super().__init__()
        self.are_away = False

    @evframe.hookimpl
    def deliver(self, socket, batch):
        if self.are_away:
            raise Unavailable("refused")
        return super().deliver(socket, batch)


class Letters:
    """Keeps what has failed for good, where a policy says so."""

    policy_keys = frozenset({"dead_letter"})

    def __init__(self):
        self.kept = []

    @evframe.hookimpl
    def events_failed(self, events):
        self.kept += [event["n"] for event in events]


class Limited:
    """An interface whose policies follow a clock that the test advances."""

    def __init__(self, options=None, core=CoreOptions()):
        self.clock = FakeClock(time.monotonic())
        self.peers = Peers()
        self.plugin = PoliciesPlugin(options, clock=self.clock)
        self.letters = Letters()
        plugins = {"memory": self.peers, "policies": self.plugin, "letters": self.letters}
        self.events = evframe.EventInterface(evframe.Config(core=core), plugins=plugins)
        self.events.register_event("E_A")

    def subscribe(self, name="a", **keys):
        lease = self.events.subscribe_event("E_A", f"memory:{name}", policy=Policy(**keys))
        return self.subscriber(name) if lease is None else lease.subscriber

    def subscriber(self, name):
        return next(each for each in self.events.event("E_A").leases if each.socket.canonical == f"memory:{name}")

    def raise_(self, count=1, **params):
        for number in range(count):
            self.events.raise_event("E_A", {"n": number, **params})

    def got(self, name="a"):
        return [event["n"] for event in self.peers.delivered.get(name, [])]

    async def advance(self, seconds):
        """Advance the clock, do what is due, and let the loop deliver."""
        self.clock.advance(seconds)
        self.plugin._limiter._ring()
        await self.turns()

    async def turns(self, count=10):
        for _ in range(count):
            await asyncio.sleep(0)


async def test_a_rate_is_kept_from_the_first_event_on():
    """A burst is sent at once, then so many events a second, each in its turn."""
    limited = Limited()
    limited.subscribe(rate=10.0, burst=5)
    async with limited.events:
        limited.raise_(20)
        await limited.turns()
        assert limited.got() == [0, 1, 2, 3, 4]
        for second in range(3):
            for _ in range(10):
                await limited.advance(0.1)
            assert len(limited.got()) == min(20, 15 + 10 * second)
        assert limited.got() == list(range(20))


@pytest.mark.parametrize("rate", [5e-324, 1e-308, 9e18])
async def test_the_smallest_and_largest_values_are_followed(rate):
    """Values at the ends of what numbers can be are policies as others."""
    limited = Limited(core=CoreOptions(drain_timeout_s=0.05))
    subscriber = limited.subscribe(rate=rate, burst=1, max_age_s=2e9, dedup_s=5e-324)
    async with limited.events:
        limited.raise_(3)
        for _ in range(3):
            await limited.advance(100_000.0)
        assert subscriber.delivered == (3 if rate > 1 else 1)


async def test_an_attempt_costs_a_token_also_when_it_is_the_second_one():
    """Events that came back are sent again within the rate."""
    limited = Limited()
    subscriber = limited.subscribe(rate=1.0, burst=4)
    async with limited.events:
        limited.peers.are_away = True
        limited.raise_(4)
        await until(lambda: subscriber.attempts)
        limited.peers.are_away = False
        await until(lambda: not subscriber.attempts or subscriber.queue.stored == 4)
        assert limited.got() == []
        await limited.advance(2.0)
        await until(lambda: limited.got() == [0, 1])
        await limited.advance(2.0)
        await until(lambda: limited.got() == [0, 1, 2, 3])


async def test_what_is_too_old_is_not_sent():
    """Events older than `max_age_s` fail as `expired` when their batch is made, however many there are."""
    limited = Limited()
    subscriber = limited.subscribe(max_age_s=10.0)
    async with limited.events:
        limited.raise_(3)
        limited.clock.advance(20.0)
        await limited.turns()
        assert limited.got() == []
        assert subscriber.reasons == {"expired": 3}


async def test_what_is_too_old_does_not_stay_in_memory_while_the_peer_is_away():
    """Events of a peer that is away expire without an attempt."""
    limited = Limited()
    subscriber = limited.subscribe(max_age_s=10.0)
    async with limited.events:
        limited.peers.are_away = True
        limited.raise_(5000)
        await until(lambda: subscriber.attempts)
        for _ in range(6):
            await limited.advance(20.0)
        assert subscriber.reasons == {"expired": 5000}
        assert not subscriber.depth
        assert not limited.plugin._limiter.bytes
        limited.peers.are_away = False


async def test_a_queue_without_old_events_costs_the_same_however_many_wait():
    """The timer looks at few events at the head: those behind a young one are younger, or found when a batch is made."""
    counts = []
    for waiting in (20, 2000):
        limited = Limited(core=CoreOptions(drain_timeout_s=0.05))
        subscriber = limited.subscribe(max_age_s=10.0)
        limited.raise_(waiting)
        counts.append(count_calls(subscriber.queue.expire, 1024)[0])
        assert subscriber.depth == waiting
    assert counts[0] == counts[1]


async def test_an_awaited_event_that_expires_has_its_outcome():
    """A caller that waits for an event learns that it has expired."""
    limited = Limited()
    limited.subscribe(rate=1.0, burst=1, max_age_s=5.0)
    async with limited.events:
        limited.raise_()
        waiting = asyncio.create_task(limited.events.raise_event_and_wait("E_A", {"n": 1}))
        await limited.turns()
        assert not waiting.done()
        limited.clock.advance(20.0)
        await limited.advance(0.0)
        (outcome,) = await waiting
        assert outcome.reason == "expired"


async def test_a_repetition_is_not_sent():
    """The same event within `dedup_s` fails as `duplicate`; another one, and the same one later, is sent."""
    limited = Limited()
    subscriber = limited.subscribe(dedup_s=10.0)
    definition = limited.events.event("E_A")
    now = limited.clock.now
    async with limited.events:
        for at, number in ((0, 1), (1, 1), (2, 2), (9, 1), (11, 1), (12, 2), (12.5, 2)):
            limited.events.raise_prepared(definition.snapshot({"n": number}, now + at))
        await limited.turns()
        assert limited.got() == [1, 2, 1, 2]
        assert subscriber.reasons == {"duplicate": 3}


async def test_all_subscribers_share_what_is_remembered(monkeypatch):
    """However many subscribers have `dedup_s`, one bound holds for the events that are remembered."""
    monkeypatch.setattr("evframe_policies.limiter.MAX_OF_ALL", 100)
    limited = Limited()
    subscribers = [limited.subscribe(str(number), dedup_s=1e9) for number in range(10)]
    async with limited.events:
        limited.raise_(50)
        await limited.turns()
        assert [len(each.queue._recent) for each in subscribers] == [10] * 10
        for number in range(1, 10):
            limited.events.unsubscribe_event("E_A", f"memory:{number}")
        await limited.turns()
        limited.raise_(300)
        await limited.turns()
        assert len(subscribers[0].queue._recent) == 100


async def test_an_event_that_came_back_is_no_repetition_of_itself():
    """A second attempt is not compared with the first one."""
    limited = Limited()
    subscriber = limited.subscribe(dedup_s=10.0)
    async with limited.events:
        limited.peers.are_away = True
        limited.raise_(3)
        limited.raise_(2)
        await until(lambda: subscriber.attempts)
        limited.peers.are_away = False
        await until(lambda: not subscriber.depth)
        assert limited.got() == [0, 1, 2]
        assert subscriber.reasons == {"duplicate": 2}


@pytest.mark.parametrize(
    ("when_full", "kept"), [("drop_oldest", [2, 3, 4]), ("drop_newest", [0, 1, 2]), ("dead_letter", [0, 1, 2])]
)
async def test_a_subscriber_in_memory_has_its_own_rule_when_it_is_full(when_full, kept):
    """`when_full` holds for one subscriber, whatever `[core] overflow` says."""
    limited = Limited(core=CoreOptions(queue_size=3, overflow="drop_oldest"))
    subscriber = limited.subscribe(when_full=when_full)
    other = limited.subscribe("other")
    async with limited.events:
        limited.raise_(5)
        await limited.turns()
        assert limited.got() == kept
        assert limited.got("other") == [2, 3, 4]
        assert subscriber.reasons == other.reasons == {"queue_full": 2}
        assert limited.letters.kept == ([3, 4] if when_full == "dead_letter" else [])


async def test_callers_wait_for_the_room_of_a_subscriber_that_blocks():
    """With `when_full = "block"`, an awaited raise waits for room, and gets it."""
    limited = Limited(core=CoreOptions(queue_size=2))
    limited.subscribe(when_full="block", rate=10.0, burst=1)
    async with limited.events:
        waiting = [
            asyncio.create_task(limited.events.raise_event_and_wait("E_A", {"n": number}, timeout_s=None))
            for number in range(6)
        ]
        for _ in range(20):
            await limited.advance(0.11)
        outcomes = [outcome.reason for task in waiting for outcome in await task]
        assert outcomes == [None] * 6
        assert limited.got() == list(range(6))


async def test_max_bytes_bounds_the_payloads_that_wait():
    """A subscriber in memory keeps at most so many bytes of payloads."""
    limited = Limited()
    subscriber = limited.subscribe(max_bytes=1000)
    async with limited.events:
        limited.raise_(50, text="x" * 100)
        assert subscriber.queue.bytes <= 1000
        await limited.turns()
        assert limited.got() == [0, 1, 2, 3, 4, 5]
        assert subscriber.reasons == {"queue_full": 44}


async def test_events_of_the_lowest_priority_are_dropped_first():
    """When all queues together have too many bytes, the oldest events of the least important are shed."""
    limited = Limited(Options(memory_bytes=16_000))
    names = {"low": 1, "high": 5, "lowest": -1}
    subscribers = {name: limited.subscribe(name, priority=number) for name, number in names.items()}
    async with limited.events:
        limited.peers.are_away = True
        limited.raise_(1)
        await until(lambda: all(each.attempts for each in subscribers.values()))
        limited.raise_(99, text="x" * 50)
        await limited.turns()
        reasons = {name: (each.reasons or {}).get("shed", 0) for name, each in subscribers.items()}
        assert reasons["high"] == 0
        assert reasons["lowest"] == 100
        assert 0 < reasons["low"] < 100
        assert 14_000 < limited.plugin._limiter.bytes <= 16_000
        limited.peers.are_away = False
        await until(lambda: not any(each.depth for each in subscribers.values()))
        assert limited.got("high")[1:] == list(range(99))
        assert limited.got("low")[-1] == 98  # the oldest were shed


async def test_a_policy_that_changes_holds_at_once():
    """A refresh with another rate, or none, applies to what waits."""
    limited = Limited()
    limited.subscribe(rate=1.0, burst=1)
    async with limited.events:
        limited.raise_(10)
        await limited.turns()
        assert limited.got() == [0]
        limited.subscribe(rate=5.0, burst=5)
        await limited.advance(1.0)
        assert limited.got() == [0, 1, 2, 3, 4, 5]
        limited.subscribe()
        await limited.turns()
        assert limited.got() == list(range(10))


async def test_a_policy_that_comes_later_holds_for_what_waits():
    """The queue of a subscriber in use is limited with its first policy, with its events and callbacks."""
    limited = Limited()
    subscriber = limited.subscribe()
    async with limited.events:
        limited.peers.are_away = True
        limited.raise_(3)
        waiting = asyncio.create_task(limited.events.raise_event_and_wait("E_A", {"n": 3}))
        await until(lambda: subscriber.attempts)
        limited.subscribe(rate=1.0, burst=1)
        limited.peers.are_away = False
        await until(lambda: limited.got() == [0])
        for _ in range(3):
            await limited.advance(1.01)
        (outcome,) = await waiting
        assert outcome.reason is None
        assert limited.got() == [0, 1, 2, 3]


async def test_the_end_of_a_lease_ends_what_waits_for_tokens():
    """Events that wait for tokens fail as `unsubscribed` when the time of the subscriber is over."""
    limited = Limited(core=CoreOptions(drain_timeout_s=0.05))
    subscriber = limited.subscribe(rate=1.0, burst=1)
    async with limited.events:
        limited.raise_(3000)
        await limited.turns()
        limited.events.unsubscribe_event("E_A", "memory:a")
        await until(lambda: not limited.events.event("E_A").leases and len(limited.events.statistics) == 1)
        assert (subscriber.delivered, subscriber.reasons) == (1, {"unsubscribed": 2999})
        assert not len(limited.plugin._limiter)
        assert not limited.plugin._limiter.bytes


async def test_the_end_of_the_interface_ends_what_waits_for_tokens():
    """Events that wait for tokens fail as `shutdown`, and none is sent too early."""
    limited = Limited(core=CoreOptions(drain_timeout_s=0.05))
    subscriber = limited.subscribe(rate=1.0, burst=2)
    async with limited.events:
        limited.raise_(3000)
    assert (subscriber.delivered, subscriber.reasons) == (2, {"shutdown": 2998})


async def test_the_timer_lends_no_nesting_to_callbacks():
    """The outcome of an event that expires is reported outside of whatever raised the event."""
    limited = Limited(core=CoreOptions(probe_idle_s=0.0))
    limited.subscribe(max_age_s=0.1)
    depths = []
    async with limited.events:
        limited.peers.are_away = True
        token = evframe.depth.set(7)
        limited.events.raise_event_and_tell("E_A", {"n": 1}, lambda _: depths.append(evframe.depth.get()))
        evframe.depth.reset(token)
        limited.clock.advance(60.0)
        await until(lambda: depths)
        assert depths == [0]
        limited.peers.are_away = False


def test_many_subscribers_share_one_timer():
    """However many subscribers wait for tokens or expire, the loop has one timer for them."""

    async def run():
        limited = Limited(core=CoreOptions(drain_timeout_s=0.05))
        for number in range(200):
            limited.subscribe(str(number), rate=1.0, burst=1, max_age_s=60.0)
        async with limited.events:
            before = len(asyncio.get_running_loop()._scheduled)
            limited.raise_(3)
            await limited.turns()
            assert len(asyncio.get_running_loop()._scheduled) <= before + 1

    # The loop of asyncio lists its timers, whichever loop the other tests have.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(run())


async def test_the_oldest_event_that_waits_has_a_time():
    """A limited queue shows when the first of the events that wait for their turn was raised."""
    limited = Limited(core=CoreOptions(drain_timeout_s=0.1))
    subscriber = limited.subscribe(rate=1, burst=1)
    async with limited.events:
        before = time.monotonic()
        limited.raise_(3)
        await until(lambda: limited.got() == [0])
        assert before <= subscriber.queue.oldest <= time.monotonic()


def test_a_queue_of_another_process_is_not_limited():
    """The process that delivers the events follows the policy."""

    class Elsewhere(MemoryQueue):
        is_elsewhere = True

    plugin = PoliciesPlugin()
    arguments = {"subscriber": None, "policy": Policy(rate=1.0), "wake": lambda: None}
    assert plugin.limit_queue(queue=Elsewhere(5), **arguments) is None
    assert plugin.limit_queue(queue=MemoryQueue(5), **arguments) is not None
