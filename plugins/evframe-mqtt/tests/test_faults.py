"""Numbered events through a Mosquitto that fails, or a way to it that does."""

import asyncio
import json
import signal
import uuid
from contextlib import asynccontextmanager
from importlib.metadata import entry_points

import pytest
from brokers.faults import IdleContract
from brokers.load import LIMIT_S, BrokerFaults, Tries
from brokers.messages import bodies_in, keep, numbers_in
from brokers.proxy import FaultProxy
from evframe_mqtt import MqttTransport, Options
from numbered import Load

import evframe
from evframe.config import parse_config
from evframe.testing import until


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


class TestFaults(IdleContract):
    """What a server has acknowledged is in the session that keeps the topic."""

    @pytest.fixture
    def broker(self, mosquitto):
        return mosquitto

    @pytest.fixture
    async def name(self, mosquitto):
        """Return a topic of the test's own, whose messages a session keeps."""
        name = f"t-{uuid.uuid4().hex[:8]}"
        await keep(mosquitto, name)
        return name

    def transport(self, **options):
        return {"mqtt": MqttTransport(Options(**options))}

    def socket(self, port, name, *, lasting=False):
        return f"mqtt://127.0.0.1:{port}/{name}"

    async def numbers(self, broker, name):
        return await numbers_in(broker, name)

    def broker_faults(self, broker, tries, lease):
        return SavedFaults(broker, tries, lease)

    @pytest.mark.parametrize("qos", [0, 1])
    async def test_a_server_that_hangs_stops_no_other(self, mosquitto, qos):
        """While one server says nothing, subscribers of another one have their events; then the rest follows."""
        limits = {"timeout_ms": 500, "login_timeout_ms": 500}
        async with FaultProxy(mosquitto.port) as proxy, self.interface(Tries(), **limits) as events:
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

    async def test_a_reload_exchanges_the_connection(self, mosquitto, name):
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
