"""Numbered events through a NATS that fails, or a way to it that does."""

import uuid

import pytest
from brokers.faults import IdleContract
from brokers.load import Tries
from brokers.proxy import FaultProxy
from brokers.streams import make_stream, numbers_in
from evframe_nats import NatsTransport, Options

from evframe.testing import until


class TestFaults(IdleContract):
    """What is sent again has the id by which the stream recognises it."""

    is_exact = True
    tasks = "nats"

    @pytest.fixture
    def broker(self, nats):
        return nats

    @pytest.fixture
    async def name(self, nats):
        """Return a stream of the test's own."""
        name = f"s{uuid.uuid4().hex[:8]}"
        await make_stream(nats, name)
        return name

    def transport(self, **options):
        return {"nats": NatsTransport(Options(**options))}

    def socket(self, port, name, *, lasting=False):
        return f"nats://127.0.0.1:{port}/{name}.a"

    async def numbers(self, broker, name):
        return await numbers_in(broker, name)

    async def test_server_that_hangs_holds_up_nobody_else(self, nats, name):
        """The subscribers of another server get their events while one server stands still."""
        async with FaultProxy(nats.port) as proxy, self.interface(Tries(), timeout_ms=600_000) as events:
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
