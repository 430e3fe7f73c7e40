"""Queues of a RabbitMQ: made, and read."""

import asyncio
import json
from contextlib import asynccontextmanager

import aio_pika
from brokers.rabbitmq import RabbitMQ


@asynccontextmanager
async def channel_of(broker):
    """Yield a channel of a connection of its own."""
    async with await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{broker.port}/") as connection:
        yield await connection.channel()


async def make_queue(broker, name):
    """Make a durable queue, which survives a kill of a broker of our own that follows at once."""
    async with channel_of(broker) as channel:
        await channel.declare_queue(name, durable=True)
    if isinstance(broker, RabbitMQ):  # not one that is given
        await asyncio.to_thread(broker.keep)


async def bodies_in(broker, name):
    """Return the bodies of all messages in a durable queue, and remove it."""
    async with channel_of(broker) as channel:
        queue = await channel.declare_queue(name, durable=True)
        count = queue.declaration_result.message_count
        bodies = []

        async def take(message):
            bodies.append(message.body)

        # The library below costs half as much for each message.
        await (await channel.get_underlay_channel()).basic_consume(name, take, no_ack=True)
        async with asyncio.timeout(60 + count / 500):
            while len(bodies) < count:
                await asyncio.sleep(0.005)
    async with channel_of(broker) as channel:
        await channel.queue_delete(name)
    return bodies


async def numbers_in(broker, name):
    """Return the first parameter of every event in a durable queue, and remove it."""
    return [json.loads(body)["params"][0] for body in await bodies_in(broker, name)]
