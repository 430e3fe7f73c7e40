"""Numbered events to a server of moto that fails, or over a way that does; it keeps nothing when it ends."""

import asyncio
import json
import signal
from itertools import count

import pytest
from brokers.load import Tries, WayFaults
from brokers.moto import Moto
from brokers.proxy import FaultProxy
from evframe_sqs import Options, SqsTransport
from numbered import assert_exactly, assert_in_order

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

COUNT = 120  # a queue of moto takes the longer for a message the more it has
LONG = "x" * 500
QUEUES = count()


def interface(tries, config=None, **options):
    made = Options(region="us-east-1", access_key_id="key", secret_access_key="secret", **options)
    events = evframe.EventInterface(config, plugins={"sqs": SqsTransport(made), "tries": tries})
    events.register_event("E_TEST")
    return events


async def raised(events, numbers):
    for number in numbers:
        events.raise_event("E_TEST", [number, LONG])
        if number % 25 == 0:
            await asyncio.sleep(0.02)


async def taken(broker, url):
    messages = await asyncio.to_thread(broker.take_all, url)
    return [json.loads(each["Body"])["params"][0] for each in messages]


@pytest.mark.parametrize(
    ("fault", "ending"),
    [("cut", ""), ("delay", ""), ("hold", ""), ("refuse", ""), ("reset", ""), ("cut", ".fifo"), ("hold", ".fifo")],
)
async def test_faults_on_the_way_lose_nothing(moto, fault, ending):
    """All have arrived in order, and again only where they were tried again; in a FIFO queue each is once."""
    tries = Tries()
    url = await asyncio.to_thread(moto.make_queue, f"faults-{next(QUEUES)}{ending}")
    limits = {"timeout_ms": 1000} if fault == "hold" else {}
    async with FaultProxy(moto.port) as proxy, interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"sqs:http://127.0.0.1:{proxy.port}/{url.split('/', 3)[3]}")
        await raised(events, range(COUNT // 3))
        async with getattr(WayFaults(proxy, tries), fault)():
            await raised(events, range(COUNT // 3, COUNT))
        await until(lambda: not lease.subscriber.depth)
        counters = events.statistics[0]
    found = await taken(moto, url)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(found, COUNT)
    tries.assert_explain(found)
    if fault == "delay" or ending:
        assert_exactly(found, COUNT)


async def test_a_server_that_ends_loses_nothing_of_ours():
    """What the server has confirmed is in its queue before its kill; all that was raised later arrives after it."""
    broker, tries = Moto(), Tries()
    try:
        await asyncio.to_thread(broker.start)
        url = await asyncio.to_thread(broker.make_queue, "q")
        async with FaultProxy(broker.port) as proxy, interface(tries) as events:
            lease = events.subscribe_event("E_TEST", f"sqs:http://127.0.0.1:{proxy.port}/{url.split('/', 3)[3]}")
            await raised(events, range(COUNT // 3))
            await until(lambda: not lease.subscriber.depth)
            before = await taken(broker, url)
            await asyncio.to_thread(broker.stop, signal.SIGKILL)
            await raised(events, range(COUNT // 3, 2 * COUNT // 3))
            await until(lambda: lease.subscriber.attempts)
            proxy.refuse()  # until the queue exists again, which is another one
            proxy.reset()
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(broker.make_queue, "q")
            await proxy.open()
            await raised(events, range(2 * COUNT // 3, COUNT))
            await until(lambda: not lease.subscriber.depth)
            counters = events.statistics[0]
            after = await taken(broker, url)
    finally:
        await asyncio.to_thread(broker.remove)
    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_exactly(before, COUNT // 3)
    assert_exactly([number - COUNT // 3 for number in after], 2 * COUNT // 3)


async def test_a_server_that_hangs(moto):
    """A request without an answer is made again; other subscribers are served meanwhile."""
    broker, tries = Moto(), Tries()
    other = await asyncio.to_thread(moto.make_queue, f"other-{next(QUEUES)}")
    try:
        await asyncio.to_thread(broker.start)
        url = await asyncio.to_thread(broker.make_queue, "q.fifo")
        async with interface(tries, timeout_ms=1000) as events:
            lease = events.subscribe_event("E_TEST", f"sqs:{url}")
            events.register_event("E_OTHER")
            events.subscribe_event("E_OTHER", f"sqs:{other}")
            broker.signal(signal.SIGSTOP)
            await raised(events, range(COUNT // 3))
            assert (await events.raise_event_and_wait("E_OTHER", [0], timeout_s=30))[0].delivered
            await until(lambda: lease.subscriber.attempts >= 2)
            broker.signal(signal.SIGCONT)
            await until(lambda: not lease.subscriber.depth)
            counters = events.statistics[0]
            found = await taken(broker, url)
    finally:
        await asyncio.to_thread(broker.remove)
    assert (counters.delivered, counters.failed) == (COUNT // 3, 0)
    assert_exactly(found, COUNT // 3)


async def test_leaving_is_bounded(moto):
    """Leaving does not wait for a server that says nothing, and what it has not answered is counted."""
    config = Config(core=CoreOptions(drain_timeout_s=0.1))
    url = await asyncio.to_thread(moto.make_queue, f"leaving-{next(QUEUES)}")
    async with FaultProxy(moto.port) as proxy:
        async with interface(Tries(), config, timeout_ms=600_000) as events:
            lease = events.subscribe_event("E_TEST", f"sqs:http://127.0.0.1:{proxy.port}/{url.split('/', 3)[3]}")
            assert (await events.raise_event_and_wait("E_TEST", [0], timeout_s=30))[0].delivered
            proxy.hold()
            for number in range(1, 100):
                events.raise_event("E_TEST", [number])
            await until(lambda: lease.subscriber.in_flight)
        assert lease.subscriber.reasons == {"shutdown": 99}
        proxy.release()


async def test_subscribers_of_a_service_share_a_client(moto):
    """Queues of one service have one client; it closes with the last of its subscribers."""
    transport = SqsTransport(Options(region="us-east-1", access_key_id="key", secret_access_key="secret"))
    urls = [await asyncio.to_thread(moto.make_queue, f"shared-{next(QUEUES)}") for _ in range(3)]
    async with evframe.EventInterface(plugins={"sqs": transport}) as events:
        events.register_event("E_TEST")
        for url in urls:
            events.subscribe_event("E_TEST", f"sqs:{url}")
        assert len(await events.raise_event_and_wait("E_TEST", [1], timeout_s=30)) == 3
        assert len(transport._servers) == 1
        for url in urls:
            events.unsubscribe_event("E_TEST", f"sqs:{url}")
        await until(lambda: not transport._servers)
    assert [await taken(moto, url) for url in urls] == [[1]] * 3
