"""What another team runs: prints the events that arrive in the queue of a RabbitMQ, one a line.

Run it with the broker's address; it waits for a broker that is away::

    python consumer.py 127.0.0.1:5672

It makes each connection itself, and each wait has a bound: `aio_pika.connect_robust` has none for a broker that accepts
a connection and is silent, and may come back without its consumer. A message whose acknowledgement is lost with a
connection comes again.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import aio_pika

QUEUE = "shop-events"
HEARTBEAT_S = 10
CONNECT_S = 10.0  # from the connection to the consumer
IDLE_S = 60.0  # without a message, until the next connection: the end of a consumer may go unnoticed
CLOSE_S = 2.0
PAUSE_S = 0.5


async def consume(broker: str, queue_name: str) -> None:
    """Print the body of each message, on one connection after the other."""
    reported = ""
    while True:
        # A task for each: the library may end it with a cancellation, which is not meant for this one.
        session = asyncio.create_task(consume_on_one_connection(broker, queue_name))
        try:
            await asyncio.wait([session])
        finally:
            session.cancel()
            (error,) = await asyncio.gather(session, return_exceptions=True)
        if error is not None and repr(error) != reported:
            reported = repr(error)
            report(f"not consuming: {reported}")
        await asyncio.sleep(PAUSE_S)


async def consume_on_one_connection(broker: str, queue_name: str) -> None:
    """Print the body of each message, and have the broker forget it then, until the connection ends."""
    connection = None
    try:
        async with asyncio.timeout(CONNECT_S):
            connection = await aio_pika.connect(f"amqp://guest:guest@{broker}/?heartbeat={HEARTBEAT_S}")
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=100)
            queue = await channel.declare_queue(queue_name, durable=True)
            messages = queue.iterator(timeout=IDLE_S)
            await messages.consume()
        report(f"consuming {queue_name}")
        async for message in messages:
            async with message.process():
                sys.stdout.write(message.body.decode() + "\n")
                sys.stdout.flush()
    finally:
        if connection is not None:
            await asyncio.wait([asyncio.gather(connection.close(), return_exceptions=True)], timeout=CLOSE_S)


def report(text: str) -> None:
    """Print a line about the consumer itself."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    for library in ("aio_pika", "aiormq"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # the reason is reported here
    asyncio.run(consume(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else QUEUE))
