"""Numbered events to a web server that fails, or over a way that does."""

import asyncio
import json

import pytest
from brokers.load import COUNT as FULL_COUNT
from brokers.load import LIMIT_S, BrokerFaults, Tries, WayFaults, load
from brokers.proxy import FaultProxy
from evframe_webhook import Options, WebhookTransport
from numbered import assert_exactly, assert_in_order
from webhook_server import Process, Server

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

pytestmark = pytest.mark.timeout(60 + LIMIT_S)
COUNT = FULL_COUNT // 3  # each event is a request, where other transports have many in a batch


def interface(tries, config=None, **options):
    plugins = {"webhook": WebhookTransport(Options(**options)), "tries": tries}
    events = evframe.EventInterface(config, plugins=plugins)
    events.register_event("E_TEST")
    return events


@pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
async def test_faults_on_the_way_lose_nothing(fault):
    """All have arrived, the first of each in order, and another one only where it was tried again."""
    tries = Tries()
    limits = {"timeout_ms": 300, "connect_timeout_ms": 300} if fault == "hold" else {}
    async with Server() as server, FaultProxy(server.port) as proxy, interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"http://127.0.0.1:{proxy.port}/")
        await load(events, getattr(WayFaults(proxy, tries), fault), times=5, count=COUNT)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]
    numbers = [json.loads(body)["params"][0] for body in server.bodies]

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers)
    if fault == "delay":
        assert_exactly(numbers, COUNT)


@pytest.mark.parametrize("fault", ["hang", "kill", "stop"])
async def test_faults_of_the_server_lose_nothing(tmp_path, fault):
    """What a server has answered is in its file when it is back; the rest has waited, and follows in order."""
    server, tries = Process(tmp_path / "numbers"), Tries()
    await asyncio.to_thread(server.start)
    limits = {"timeout_ms": 500} if fault == "hang" else {}
    try:
        async with interface(tries, **limits) as events:
            lease = events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
            await load(events, getattr(BrokerFaults(server, tries), fault), times=1, count=COUNT)
            await until(lambda: not lease.subscriber.depth, LIMIT_S)
            counters = events.statistics[0]
    finally:
        await asyncio.to_thread(server.stop)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(server.numbers, COUNT)
    tries.assert_explain(server.numbers)


async def test_server_is_restarted_while_idle(tmp_path):
    """The first event after a restart without a notice is not lost."""
    server = Process(tmp_path / "numbers")
    await asyncio.to_thread(server.start)
    try:
        async with interface(Tries()) as events:
            events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
    finally:
        await asyncio.to_thread(server.stop)
    assert server.numbers == [0, 1]


async def test_leaving_is_bounded():
    """Leaving does not wait for a server that says nothing, and what it has not answered is counted."""
    config = Config(core=CoreOptions(drain_timeout_s=0.1))
    async with Server() as server, FaultProxy(server.port) as proxy:
        async with interface(Tries(), config, timeout_ms=600_000) as events:
            lease = events.subscribe_event("E_TEST", f"http://127.0.0.1:{proxy.port}/")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            proxy.hold()
            for number in range(1, 100):
                events.raise_event("E_TEST", [number])
            await until(lambda: lease.subscriber.in_flight)
        assert lease.subscriber.reasons == {"shutdown": 99}
        proxy.release()
