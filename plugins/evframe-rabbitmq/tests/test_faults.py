"""Numbered events through a RabbitMQ that fails, or a way to it that does: R1, R2 and R3."""

import asyncio
import uuid

import pytest
from brokers.faults import IdleContract
from brokers.queues import channel_of, make_queue, numbers_in
from evframe_rabbitmq import Options, RabbitmqTransport


class TestFaults(IdleContract):
    """What a broker has confirmed is in the queue."""

    tasks = "aiormq"

    @pytest.fixture(autouse=True)
    def broker(self, rabbitmq):
        return rabbitmq

    @pytest.fixture
    async def name(self, rabbitmq):
        """Return a durable queue of the test's own."""
        name = f"q-{uuid.uuid4().hex[:8]}"
        await make_queue(rabbitmq, name)
        return name

    def transport(self, **options):
        return {"rabbitmq": RabbitmqTransport(Options(**options))}

    def socket(self, port, name, *, lasting=False):
        return f"rabbitmq:127.0.0.1:{port}/{'persistent?' if lasting else ''}{name}"

    async def numbers(self, broker, name):
        return await numbers_in(broker, name)

    async def test_leaving_while_the_memory_is_full_r2(self, rabbitmq, name):
        """R2: a broker that takes nothing, because its memory is full, is not waited for."""
        if not hasattr(rabbitmq, "evaluate"):
            pytest.skip("the broker that is given cannot be made to block")

        async def hold(_):
            await asyncio.to_thread(rabbitmq.limit_memory, 0.00001)

        async def release(_):
            await asyncio.to_thread(rabbitmq.limit_memory)

        await self.leaving_is_bounded(rabbitmq, name, hold, release)
        async with channel_of(rabbitmq) as channel:
            await channel.queue_delete(name)
