"""The loops of the client libraries, as somebody would write them without evframe, on asyncio's own loop.

`python library.py LOOP PORT TARGET COUNT PAYLOAD` prints events a second: another process, so that nothing of
evframe is in its way, and nothing of it in evframe's.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque

import aio_pika
from aiokafka import AIOKafkaProducer


async def aiokafka_send(port: int, topic: str, count: int, payload: bytes, *, looks: bool = True) -> float:
    """Return the rate of aiokafka's `send()` until all is acknowledged.

    The outcome of every record is looked at, a thousand records after it was sent; without *looks*, `flush()` alone
    waits at the end, and a record that has failed is not noticed.
    """
    producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{port}", acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, payload)
        sent: deque[asyncio.Future[object]] = deque()
        start = time.perf_counter()
        for _ in range(count):
            future = await producer.send(topic, payload)
            if looks:
                sent.append(future)
                if len(sent) == 1000:
                    await sent.popleft()
        for future in sent:
            await future
        await producer.flush()
        return count / (time.perf_counter() - start)
    finally:
        await producer.stop()


async def aiokafka_flush(port: int, topic: str, count: int, payload: bytes) -> float:
    """Return the rate of `send()` when the outcomes are not looked at."""
    return await aiokafka_send(port, topic, count, payload, looks=False)


async def aio_pika_publish(port: int, queue: str, count: int, payload: bytes) -> float:
    """Return the rate of aio-pika's `publish()`, confirmed, with 100 in flight all the time."""
    async with await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{port}/") as connection:
        exchange = (await connection.channel(publisher_confirms=True)).default_exchange
        await exchange.publish(aio_pika.Message(payload), queue)
        numbers = iter(range(count))

        async def publish() -> None:
            for _ in numbers:
                await exchange.publish(aio_pika.Message(payload), queue)

        start = time.perf_counter()
        await asyncio.gather(*(publish() for _ in range(100)))
        return count / (time.perf_counter() - start)


LOOPS = {loop.__name__: loop for loop in (aiokafka_send, aiokafka_flush, aio_pika_publish)}

if __name__ == "__main__":
    name, port, target, count, payload = sys.argv[1:]
    print(asyncio.run(LOOPS[name](int(port), target, int(count), payload.encode())))
