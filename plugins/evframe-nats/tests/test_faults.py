"""Numbered events through a NATS that fails, or a way to it that does."""

import asyncio
import uuid
from collections import Counter

import pytest
from brokers.load import COUNT, LIMIT_S, BrokerFaults, Tries, WayFaults, load, outcomes
from brokers.proxy import FaultProxy
from brokers.streams import make_stream, numbers_in
from evframe_nats import NatsTransport, Options
from numbered import assert_exactly

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

pytestmark = pytest.mark.timeout(60 + LIMIT_S)


def interface(tries, config=None, **options):
    plugins = {"nats": NatsTransport(Options(**options)), "tries": tries}
    events = evframe.EventInterface(config, plugins=plugins)
    events.register_event("E_TEST")
    return events


@pytest.fixture
async def name(nats):
    """Return a stream of the test's own."""
    name = f"s{uuid.uuid4().hex[:8]}"
    await make_stream(nats, name)
    return name


@pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
async def test_faults_on_the_way_lose_and_repeat_nothing(nats, name, fault):
    """All are in the stream, once and in order: what is sent again has the id by which the stream recognises it."""
    tries = Tries()
    limits = {"timeout_ms": 300, "login_timeout_ms": 300} if fault == "hold" else {}
    async with FaultProxy(nats.port) as proxy, interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{proxy.port}/{name}.a")
        await load(events, getattr(WayFaults(proxy, tries), fault), times=5)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_exactly(await numbers_in(nats, name), COUNT)
    assert tries.again or fault in {"delay", "reset"}  # a reset may come when nothing is under way


@pytest.mark.parametrize("fault", ["hang", "kill", "stop"])
async def test_faults_of_the_server_lose_and_repeat_nothing(nats, name, fault):
    """What a server has acknowledged is in the stream when it is back; the rest has waited, and follows in order."""
    if not hasattr(nats, "start"):
        pytest.skip("the server that is given cannot be stopped")
    tries = Tries()
    limits = {"timeout_ms": 500, "login_timeout_ms": 500} if fault == "hang" else {}
    async with interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{name}.a")
        await load(events, getattr(BrokerFaults(nats, tries), fault), times=1)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_exactly(await numbers_in(nats, name), COUNT)


async def test_what_is_not_delivered_is_counted(nats, name):
    """With a queue too small for an outage, each event is acknowledged and there, or counted with its reason."""
    tries = Tries()
    config = Config(core=CoreOptions(queue_size=3000))
    async with FaultProxy(nats.port) as proxy, interface(tries, config) as events:
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{proxy.port}/{name}.a")
        reasons = await outcomes(events, range(1000))
        async with WayFaults(proxy, tries).refuse():
            reported = asyncio.create_task(outcomes(events, range(1000, COUNT)))
            await until(lambda: events.statistics[0].failed)
        reasons |= await reported
        counters = events.statistics[0]
    there = set(await numbers_in(nats, name))
    lost = Counter(reason for reason in reasons.values() if reason is not None)

    assert dict(lost) == counters.reasons
    assert set(lost) == {"queue_full"}
    assert (counters.raised, counters.delivered) == (COUNT, COUNT - lost.total())
    assert not {number for number, reason in reasons.items() if reason is None} - there


async def test_server_is_restarted_while_idle(nats, name):
    """The first event after a restart without a notice is not lost."""
    if not hasattr(nats, "start"):
        pytest.skip("the server that is given cannot be stopped")
    async with interface(Tries()) as events:
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{name}.a")
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        await asyncio.to_thread(nats.stop)
        await asyncio.to_thread(nats.start)
        assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
        assert lease.subscriber.failed == 0
    assert await numbers_in(nats, name) == [0, 1]


async def test_leaving_is_bounded(nats, name):
    """Leaving does not wait for a server that says nothing, and what it has not acknowledged is counted."""
    quick_end = Config(core=CoreOptions(drain_timeout_s=0.1))
    async with FaultProxy(nats.port) as proxy:
        before = asyncio.all_tasks()
        # A wait for an acknowledgement would last until the end of the test.
        async with interface(Tries(), quick_end, timeout_ms=600_000) as events:
            lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{proxy.port}/{name}.a")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            proxy.hold()
            for number in range(1, 100):
                events.raise_event("E_TEST", [number])
            await until(lambda: lease.subscriber.in_flight == 99)
        assert lease.subscriber.reasons == {"shutdown": 99}
        proxy.release()
        await until(lambda: not {task for task in asyncio.all_tasks() - before if "nats" in repr(task.get_coro())})


async def test_server_that_hangs_holds_up_nobody_else(nats, name):
    """The subscribers of another server get their events while one server stands still."""
    async with FaultProxy(nats.port) as proxy, interface(Tries(), timeout_ms=600_000) as events:
        events.register_event("E_OTHER")
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{proxy.port}/{name}.a")
        events.subscribe_event("E_OTHER", f"nats://127.0.0.1:{nats.port}/{name}.b")
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        proxy.hold()
        for number in range(1, 100):
            events.raise_event("E_TEST", [number])
        for number in range(100, 120):
            assert (await events.raise_event_and_wait("E_OTHER", [number]))[0].delivered
        proxy.release()
        await until(lambda: events.statistics[0].delivered == 100)
    assert sorted(await numbers_in(nats, name)) == list(range(120))
