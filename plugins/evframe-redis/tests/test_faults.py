"""Numbered events through a Redis that fails, or a way to it that does."""

import asyncio
import uuid
from collections import Counter

import pytest
from brokers.load import COUNT, LIMIT_S, BrokerFaults, Tries, WayFaults, load, outcomes
from brokers.proxy import FaultProxy
from brokers.redis import numbers_in
from evframe_redis import Options, RedisTransport
from numbered import assert_exactly, assert_in_order

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

pytestmark = pytest.mark.timeout(60 + LIMIT_S)


def interface(tries, config=None, **options):
    plugins = {"redis": RedisTransport(Options(**options)), "tries": tries}
    events = evframe.EventInterface(config, plugins=plugins)
    events.register_event("E_TEST")
    return events


@pytest.fixture
def name():
    """Return the name of a stream of the test's own."""
    return f"s-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
async def test_faults_on_the_way_lose_nothing(redis, name, fault):
    """All are in the stream, the first of each in order, and another one only where it was tried again."""
    tries = Tries()
    limits = {"timeout_ms": 300, "login_timeout_ms": 300} if fault == "hold" else {}
    async with FaultProxy(redis.port) as proxy, interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{proxy.port}?stream={name}")
        await load(events, getattr(WayFaults(proxy, tries), fault), times=5)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]
    numbers = numbers_in(redis, name)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers)
    assert bool(tries.again) == (fault != "delay")
    if fault == "delay":
        assert_exactly(numbers, COUNT)


@pytest.mark.parametrize("fault", ["hang", "kill", "stop"])
async def test_faults_of_the_broker_lose_nothing(redis, name, fault):
    """What a broker has acknowledged is in the stream when it is back; the rest has waited, and follows in order."""
    if not hasattr(redis, "start"):
        pytest.skip("the broker that is given cannot be stopped")
    tries = Tries()
    limits = {"timeout_ms": 500, "login_timeout_ms": 500} if fault == "hang" else {}
    async with interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}?stream={name}")
        await load(events, getattr(BrokerFaults(redis, tries), fault), times=1)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]
    numbers = numbers_in(redis, name)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers)


async def test_what_is_not_delivered_is_counted(redis, name):
    """With a queue of events too small for an outage, each event is acknowledged and there, or counted with its reason."""
    tries = Tries()
    config = Config(core=CoreOptions(queue_size=3000))
    async with FaultProxy(redis.port) as proxy, interface(tries, config) as events:
        events.subscribe_event("E_TEST", f"redis://127.0.0.1:{proxy.port}?stream={name}")
        reasons = await outcomes(events, range(1000))
        async with WayFaults(proxy, tries).refuse():
            reported = asyncio.create_task(outcomes(events, range(1000, COUNT)))
            await until(lambda: events.statistics[0].failed)
        reasons |= await reported
        counters = events.statistics[0]
    there = set(numbers_in(redis, name))
    lost = Counter(reason for reason in reasons.values() if reason is not None)

    assert dict(lost) == counters.reasons
    assert set(lost) == {"queue_full"}
    assert (counters.raised, counters.delivered) == (COUNT, COUNT - lost.total())
    assert not {number for number, reason in reasons.items() if reason is None} - there


async def test_broker_is_restarted_while_idle(redis, name):
    """The first event after a restart without a notice is not lost."""
    if not hasattr(redis, "start"):
        pytest.skip("the broker that is given cannot be stopped")
    async with interface(Tries()) as events:
        lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}?stream={name}")
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        await asyncio.to_thread(redis.stop)
        await asyncio.to_thread(redis.start)
        assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
        assert lease.subscriber.failed == 0
    assert numbers_in(redis, name) == [0, 1]


async def test_leaving_is_bounded(redis, name):
    """Leaving does not wait for a server that says nothing, and what it has not answered is counted."""
    quick_end = Config(core=CoreOptions(drain_timeout_s=0.1))
    async with FaultProxy(redis.port) as proxy:
        # A wait for a reply would last until the end of the test.
        async with interface(Tries(), quick_end, timeout_ms=600_000) as events:
            lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{proxy.port}?stream={name}")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            proxy.hold()
            for number in range(1, 100):
                events.raise_event("E_TEST", [number])
            await until(lambda: lease.subscriber.in_flight)
        assert lease.subscriber.reasons == {"shutdown": 99}
