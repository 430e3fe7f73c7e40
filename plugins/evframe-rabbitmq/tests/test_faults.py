"""Numbered events through a RabbitMQ that fails, or a way to it that does."""

import asyncio
import uuid
from collections import Counter

import pytest
from brokers.load import COUNT, LIMIT_S, BrokerFaults, Tries, WayFaults, load, outcomes
from brokers.proxy import FaultProxy
from brokers.queues import channel_of, make_queue, numbers_in
from evframe_rabbitmq import Options, RabbitmqTransport
from numbered import assert_exactly, assert_in_order

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

pytestmark = pytest.mark.timeout(60 + LIMIT_S)


def interface(tries, config=None, **options):
    plugins = {"rabbitmq": RabbitmqTransport(Options(**options)), "tries": tries}
    events = evframe.EventInterface(config, plugins=plugins)
    events.register_event("E_TEST")
    return events


@pytest.fixture
async def name(rabbitmq):
    """Return a durable queue of the test's own."""
    name = f"q-{uuid.uuid4().hex[:8]}"
    await make_queue(rabbitmq, name)
    return name


@pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
async def test_faults_on_the_way_lose_nothing_r1(rabbitmq, name, fault):
    """R1: all are in the queue, the first of each in order, and another one only where it was tried again."""
    tries = Tries()
    limits = {"timeout_ms": 300, "login_timeout_ms": 300} if fault == "hold" else {}
    async with FaultProxy(rabbitmq.port) as proxy, interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/{name}")
        await load(events, getattr(WayFaults(proxy, tries), fault), times=5)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]
    numbers = await numbers_in(rabbitmq, name)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers)
    assert bool(tries.again) == (fault != "delay")
    if fault == "delay":
        assert_exactly(numbers, COUNT)


@pytest.mark.parametrize("fault", ["hang", "kill", "stop"])
async def test_faults_of_the_broker_lose_nothing_r1_r3(rabbitmq, name, fault):
    """R1, R3: what a broker has confirmed is in the queue when it is back; the rest has waited, and follows in order."""
    if not hasattr(rabbitmq, "start"):
        pytest.skip("the broker that is given cannot be stopped")
    await asyncio.to_thread(rabbitmq.keep)
    tries = Tries()
    limits = {"timeout_ms": 500, "login_timeout_ms": 500} if fault == "hang" else {}
    async with interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/persistent?{name}")
        await load(events, getattr(BrokerFaults(rabbitmq, tries), fault), times=1)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]
    numbers = await numbers_in(rabbitmq, name)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers)


async def test_what_is_not_delivered_is_counted_r3(rabbitmq, name):
    """R3: with a queue too small for an outage, each event is confirmed and there, or counted with its reason."""
    tries = Tries()
    config = Config(core=CoreOptions(queue_size=3000))
    async with FaultProxy(rabbitmq.port) as proxy, interface(tries, config) as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/{name}")
        reasons = await outcomes(events, range(1000))
        async with WayFaults(proxy, tries).refuse():
            reported = asyncio.create_task(outcomes(events, range(1000, COUNT)))
            await until(lambda: events.statistics[0].failed)
        reasons |= await reported
        counters = events.statistics[0]
    there = set(await numbers_in(rabbitmq, name))
    lost = Counter(reason for reason in reasons.values() if reason is not None)

    assert dict(lost) == counters.reasons
    assert set(lost) == {"queue_full"}
    assert (counters.raised, counters.delivered) == (COUNT, COUNT - lost.total())
    assert not {number for number, reason in reasons.items() if reason is None} - there


async def test_broker_is_restarted_while_idle_r1(rabbitmq, name):
    """R1: the first event after a restart without a notice is not lost."""
    if not hasattr(rabbitmq, "start"):
        pytest.skip("the broker that is given cannot be stopped")
    async with interface(Tries()) as events:
        lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/persistent?{name}")
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        await asyncio.to_thread(rabbitmq.stop)
        await asyncio.to_thread(rabbitmq.start)
        assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
        assert lease.subscriber.failed == 0
    assert await numbers_in(rabbitmq, name) == [0, 1]


@pytest.mark.parametrize("fault", ["alarm", "hold"])
async def test_leaving_is_bounded_r2(rabbitmq, name, fault):
    """R2: leaving does not wait for a broker that says nothing, and what it has not confirmed is counted."""
    if fault == "alarm" and not hasattr(rabbitmq, "evaluate"):
        pytest.skip("the broker that is given cannot be made to block")
    quick_end = Config(core=CoreOptions(drain_timeout_s=0.1))
    async with FaultProxy(rabbitmq.port) as proxy:
        before = asyncio.all_tasks()
        try:
            # A wait for a confirmation would last until the end of the test.
            async with interface(Tries(), quick_end, timeout_ms=600_000) as events:
                lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/{name}")
                assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
                if fault == "hold":
                    proxy.hold()
                else:
                    await asyncio.to_thread(rabbitmq.limit_memory, 0.00001)
                for number in range(1, 100):
                    events.raise_event("E_TEST", [number])
                await until(lambda: lease.subscriber.in_flight == 99)
            assert lease.subscriber.reasons == {"shutdown": 99}
        finally:
            if fault == "hold":
                proxy.release()
            else:
                await asyncio.to_thread(rabbitmq.limit_memory)
        await until(lambda: not {task for task in asyncio.all_tasks() - before if "aiormq" in repr(task)})
    async with channel_of(rabbitmq) as channel:
        await channel.queue_delete(name)
