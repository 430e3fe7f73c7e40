"""Numbered events through a Kafka that fails, or a way to it that does."""

import asyncio
from collections import Counter

import pytest
from brokers.load import COUNT, LIMIT_S, BrokerFaults, Tries, WayFaults, load, outcomes
from brokers.proxy import FaultProxy
from brokers.topics import make_topic, numbers_in
from evframe_kafka import KafkaTransport, Options
from numbered import assert_exactly, assert_in_order

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

TIMES = 5
pytestmark = pytest.mark.timeout(60 + LIMIT_S)


def interface(tries, config=None, **options):
    plugins = {"kafka": KafkaTransport(Options(**options)), "tries": tries}
    events = evframe.EventInterface(config, plugins=plugins)
    events.register_event("E_TEST")
    return events


@pytest.fixture
def faulty(kafka):
    """Return a Kafka that can be stopped and reached through a proxy."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy, and cannot be stopped")
    return kafka


@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
@pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
async def test_faults_on_the_way_lose_nothing_k8(faulty, fault, idempotent):
    """K8: all are in the topic, the first of each in order, and another one only where it was sent again.

    The client sends again by itself when a connection has ended, which an idempotent one has the broker drop.
    """
    tries = Tries()
    limits = {"delivery_timeout_ms": 500} if fault == "hold" else {}
    topic = await make_topic(faulty)
    async with (
        FaultProxy(faulty.behind_proxy, faulty.proxy_port) as proxy,
        interface(tries, enable_idempotence=idempotent, **limits) as events,
    ):
        lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{proxy.port}/{topic}")
        await load(events, getattr(WayFaults(proxy, tries), fault), TIMES)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]
    numbers = await numbers_in(faulty, topic)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers, breaks=0 if idempotent else TIMES)
    if fault == "delay":
        assert tries.again == 0
        assert_exactly(numbers, COUNT)


@pytest.mark.parametrize("fault", ["hang", "kill", "stop"])
async def test_faults_of_the_broker_lose_nothing_k7_k8(faulty, fault):
    """K7, K8: what a broker has acknowledged is in the topic when it is back; the rest has waited, and follows in order."""
    tries = Tries()
    limits = {"delivery_timeout_ms": 500} if fault == "hang" else {}
    topic = await make_topic(faulty)
    async with interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{faulty.port}/{topic}")
        await load(events, getattr(BrokerFaults(faulty, tries), fault), times=1)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]
    numbers = await numbers_in(faulty, topic)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers, breaks=1)


async def test_what_is_not_delivered_is_counted_k5(faulty):
    """K5: with a queue too small for an outage, each event is acknowledged and there, or counted with its reason."""
    tries = Tries()
    topic = await make_topic(faulty)
    config = Config(core=CoreOptions(queue_size=3000))
    async with FaultProxy(faulty.behind_proxy, faulty.proxy_port) as proxy, interface(tries, config) as events:
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{proxy.port}/{topic}")
        reasons = await outcomes(events, range(1000))
        async with WayFaults(proxy, tries).refuse():
            reported = asyncio.create_task(outcomes(events, range(1000, COUNT)))
            await until(lambda: events.statistics[0].failed)
        reasons |= await reported
        counters = events.statistics[0]
    there = set(await numbers_in(faulty, topic))
    lost = Counter(reason for reason in reasons.values() if reason is not None)

    assert dict(lost) == counters.reasons
    assert set(lost) == {"queue_full"}
    assert (counters.raised, counters.delivered) == (COUNT, COUNT - lost.total())
    assert not {number for number, reason in reasons.items() if reason is None} - there
