"""What another team runs: prints the events that arrive in the queue of a RabbitMQ, one a line.

Run it with the broker's address; it waits for a broker that is away::

    python consumer.py 127.0.0.1:5672
"""

from __future__ import annotations

import asyncio
import logging
import sys

import aio_pika

QUEUE = "shop-events"


async def consume(broker: str, queue_name: str) -> None:
    """Print the body of each message, and have the broker forget it then."""
    connection = await aio_pika.connect_robust(f"amqp://guest:guest@{broker}/", reconnect_interval=0.5)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(queue_name, durable=True)
        sys.stderr.write(f"consuming {queue_name}\n")
        sys.stderr.flush()
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    sys.stdout.write(message.body.decode() + "\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("aio_pika").setLevel(logging.CRITICAL)  # a broker that is away is nothing to tell here
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    asyncio.run(consume(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else QUEUE))
