"""What the transport leaves behind."""

import asyncio

import aio_pika
import aiormq
import pytest
from aio_pika.abc import UnderlayConnection
from aiormq.connection import TransportFactory
from brokers.proxy import FaultProxy
from brokers.queues import channel_of
from evframe_rabbitmq import Options, RabbitmqTransport

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import no_garbage, until

LIBRARY_CYCLES = (
    aio_pika.Connection,
    UnderlayConnection,  # of a login that is given up just as it succeeds
    aiormq.Connection,
    aiormq.Channel,
    TransportFactory,
    asyncio.StreamReaderProtocol,
)
OBJECTS_OF_A_CONNECTION = 250
QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))
pytestmark = pytest.mark.timeout(120)


async def test_subscribers_leave_no_garbage(rabbitmq):
    """A subscriber that has ended, whether its broker was there or not, leaves nothing to the cyclic collector."""
    events = evframe.EventInterface(QUICK_END, plugins={"rabbitmq": RabbitmqTransport(Options(login_timeout_ms=200))})
    events.register_event("E_TEST")
    async with channel_of(rabbitmq) as channel, events, FaultProxy(rabbitmq.port) as silent:
        silent.hold()
        queue = await channel.declare_queue(exclusive=True)
        base = f"rabbitmq:127.0.0.1:{rabbitmq.port}/"
        sockets = [
            f"{base}{queue.name}",
            f"{base}exchange=no-such-exchange?k",
            f"{base}no-such-queue",
            "rabbitmq:127.0.0.1:1/refused",
            f"rabbitmq:127.0.0.1:{silent.port}/silent",
            f"rabbitmq:u:wrong@127.0.0.1:{rabbitmq.port}/k",
        ]

        async def once():
            for text in sockets:
                lease = events.subscribe_event("E_TEST", text)
                events.raise_event("E_TEST")
                await until(lambda lease=lease: lease.subscriber.attempts or not lease.subscriber.depth)
                events.unsubscribe_event("E_TEST", text)
            del lease
            await until(lambda: not events.plugin("rabbitmq")._brokers)

        await once()
        rounds, connections = 3, len(sockets) - 1  # one is refused before there is a connection
        with no_garbage(*LIBRARY_CYCLES, most=rounds * connections * OBJECTS_OF_A_CONNECTION):
            for _ in range(rounds):
                await once()
