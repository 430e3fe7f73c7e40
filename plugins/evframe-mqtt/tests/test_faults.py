"""Numbered events through a Mosquitto that fails, or a way to it that does."""

import asyncio
import json
import signal
import uuid
from collections import Counter
from contextlib import asynccontextmanager
from importlib.metadata import entry_points

import pytest
from brokers.load import COUNT, LIMIT_S, BrokerFaults, Tries, WayFaults, load, outcomes
from brokers.messages import bodies_in, keep, numbers_in
from brokers.proxy import FaultProxy
from evframe_mqtt import MqttTransport, Options
from numbered import Load, assert_exactly, assert_in_order

import evframe
from evframe.config import Config, CoreOptions, parse_config
from evframe.testing import until

pytestmark = pytest.mark.timeout(60 + LIMIT_S)


def interface(tries, config=None, **options):
    plugins = {"mqtt": MqttTransport(Options(**options)), "tries": tries}
    events = evframe.EventInterface(config, plugins=plugins)
    events.register_event("E_TEST")
    return events


@pytest.fixture
async def name(mosquitto):
    """Return a topic of the test's own, whose messages a session keeps."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    await keep(mosquitto, name)
    return name


class SavedFaults(BrokerFaults):
    """A crash of a Mosquitto that has written what it has acknowledged: it does so at times, not for each message."""

    def __init__(self, broker, tries, lease):
        super().__init__(broker, tries)
        self._lease = lease

    @asynccontextmanager
    async def kill(self):
        """End the process as a crash would, after it has saved, and start it again."""
        await until(lambda: not self._lease.subscriber.depth, LIMIT_S)
        await asyncio.to_thread(self.broker.save)
        await asyncio.to_thread(self.broker.stop, signal.SIGKILL)
        yield
        await asyncio.to_thread(self.broker.start)


@pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
async def test_faults_on_the_way_lose_nothing(mosquitto, name, fault):
    """All are in the session, the first of each in order, and another one only where it was tried again."""
    tries = Tries()
    limits = {"timeout_ms": 300, "login_timeout_ms": 300} if fault == "hold" else {}
    async with FaultProxy(mosquitto.port) as proxy, interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{proxy.port}/{name}")
        await load(events, getattr(WayFaults(proxy, tries), fault), times=5)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]
    numbers = await numbers_in(mosquitto, name)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers)
    assert bool(tries.again) == (fault != "delay")
    if fault == "delay":
        assert_exactly(numbers, COUNT)


@pytest.mark.parametrize("fault", ["hang", "kill", "stop"])
async def test_faults_of_the_server_lose_nothing(mosquitto, name, fault):
    """What a server has acknowledged and saved is in the session when it is back; the rest has waited, and follows."""
    tries = Tries()
    limits = {"timeout_ms": 500, "login_timeout_ms": 500} if fault == "hang" else {}
    async with interface(tries, **limits) as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{mosquitto.port}/{name}")
        await load(events, getattr(SavedFaults(mosquitto, tries, lease), fault), times=1)
        await until(lambda: not lease.subscriber.depth, LIMIT_S)
        counters = events.statistics[0]
    numbers = await numbers_in(mosquitto, name)

    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers)


async def test_what_is_not_delivered_is_counted(mosquitto, name):
    """With a queue too small for an outage, each event is acknowledged and there, or counted with its reason."""
    tries = Tries()
    config = Config(core=CoreOptions(queue_size=3000))
    async with FaultProxy(mosquitto.port) as proxy, interface(tries, config) as events:
        events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{proxy.port}/{name}")
        reasons = await outcomes(events, range(1000))
        async with WayFaults(proxy, tries).refuse():
            reported = asyncio.create_task(outcomes(events, range(1000, COUNT)))
            await until(lambda: events.statistics[0].failed)
        reasons |= await reported
        counters = events.statistics[0]
    there = set(await numbers_in(mosquitto, name))
    lost = Counter(reason for reason in reasons.values() if reason is not None)

    assert dict(lost) == counters.reasons
    assert set(lost) == {"queue_full"}
    assert (counters.raised, counters.delivered) == (COUNT, COUNT - lost.total())
    assert not {number for number, reason in reasons.items() if reason is None} - there


async def test_server_is_restarted_while_idle(mosquitto, name):
    """The first event after a restart without a notice is not lost."""
    async with interface(Tries()) as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{mosquitto.port}/{name}")
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        await asyncio.to_thread(mosquitto.stop)
        await asyncio.to_thread(mosquitto.start)
        assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
        assert lease.subscriber.failed == 0
    assert await numbers_in(mosquitto, name) == [0, 1]


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_server_that_hangs_stops_no_other(mosquitto, qos):
    """While one server says nothing, subscribers of another one have their events; then the rest follows."""
    limits = {"timeout_ms": 500, "login_timeout_ms": 500}
    async with FaultProxy(mosquitto.port) as proxy, interface(Tries(), **limits) as events:
        held = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{proxy.port}/held?qos={qos}")
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        proxy.hold()
        good = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{mosquitto.port}/good")
        for _ in range(100):
            events.raise_event("E_TEST", [1, "x" * 200_000])  # more than the kernel holds
        await until(lambda: good.subscriber.delivered == 100, 10)
        assert held.subscriber.delivered < 101
        await until(lambda: held.subscriber.attempts)
        proxy.release()
        await until(lambda: held.subscriber.delivered == 101, LIMIT_S)
        assert held.subscriber.failed == 0


async def test_leaving_is_bounded(mosquitto, name):
    """Leaving does not wait for a server that says nothing, and what it has not acknowledged is counted."""
    quick_end = Config(core=CoreOptions(drain_timeout_s=0.1))
    async with FaultProxy(mosquitto.port) as proxy:
        # A wait for an acknowledgement would last until the end of the test.
        async with interface(Tries(), quick_end, timeout_ms=600_000) as events:
            lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{proxy.port}/{name}")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            proxy.hold()
            for number in range(1, 100):
                events.raise_event("E_TEST", [number])
            await until(lambda: lease.subscriber.in_flight == 99)
        assert lease.subscriber.reasons == {"shutdown": 99}
        proxy.release()


async def test_a_reload_exchanges_the_connection(mosquitto, name):
    """While events flow, a reload with other options exchanges the connection, and no event is lost or overtaken."""
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"mqtt"})

    def config(client_id):
        return parse_config(
            f"plugins.disable = {others}\n[plugins.mqtt]\nclient_id = '{client_id}'\n[[subscriptions]]\n"
            f"event = 'E_TEST'\nsocket = 'mqtt://127.0.0.1:{mosquitto.port}/{name}'\n"
        )

    events = evframe.EventInterface(config("before"))
    (lease,) = events.subscriptions
    async with events, Load(events) as numbered:
        await until(lambda: lease.subscriber.delivered > 200)
        events.reload(config("behind"))
        before = lease.subscriber.delivered
        await until(lambda: lease.subscriber.delivered > before + 500)
        await numbered.__aexit__()
        await until(lambda: not lease.subscriber.depth)
        counters = events.statistics[0]
    assert (counters.delivered, counters.failed) == (numbered.raised, 0)
    bodies = await bodies_in(mosquitto, name)
    assert [json.loads(body)["params"]["n"] for body in bodies] == list(range(numbered.raised))
    output = (mosquitto.folder / "output").read_text()
    assert "as before-" in output
    assert "as behind-" in output
