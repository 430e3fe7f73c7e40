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
import aiomqtt
import nats
import redis.asyncio
from aiobotocore.session import get_session
from aiokafka import AIOKafkaProducer
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


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


def mqtt_client(port: int, name: str | None = None) -> aiomqtt.Client:
    """Return a client of MQTT 5, of the session *name* if there is one."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 0 if name is None else 3600
    client = aiomqtt.Client(
        "127.0.0.1",
        port,
        identifier=name,
        clean_start=name is None,
        protocol=aiomqtt.ProtocolVersion.V5,
        properties=properties,
    )
    client.pending_calls_threshold = 1000
    return client


async def aiomqtt_publish(port: int, topic: str, count: int, payload: bytes) -> float:
    """Return the rate of aiomqtt's `publish()` with QoS 1 and 100 calls at once, of which 20 are under way."""
    async with mqtt_client(port) as client:
        numbers = iter(range(count))

        async def publish() -> None:
            for _ in numbers:
                await client.publish(topic, payload, qos=1)

        start = time.perf_counter()
        await asyncio.gather(*(publish() for _ in range(100)))
        return count / (time.perf_counter() - start)


async def aiomqtt_one_by_one(port: int, topic: str, count: int, payload: bytes) -> float:
    """Return the rate of aiomqtt's `publish()` with QoS 1, one after another."""
    async with mqtt_client(port) as client:
        start = time.perf_counter()
        for _ in range(count):
            await client.publish(topic, payload, qos=1)
        return count / (time.perf_counter() - start)


async def aiomqtt_messages(port: int, name: str, count: int, _: bytes) -> float:
    """Return the rate at which aiomqtt takes the messages of a session, acknowledged by the library."""
    start = time.perf_counter()
    async with mqtt_client(port, name) as client:
        messages = client.messages
        for _number in range(count):
            await anext(messages)
        return count / (time.perf_counter() - start)


async def redis_xadd(port: int, stream: str, count: int, payload: bytes) -> float:
    """Return the rate of redis-py's `xadd()`, one after the other, each acknowledged."""
    async with redis.asyncio.Redis(port=port) as client:
        fields: dict[str, bytes | str] = {"event": "E_BENCH", "payload": payload}
        start = time.perf_counter()
        for _ in range(count):
            await client.xadd(stream, fields, maxlen=10_000)  # type: ignore[arg-type] # whose dict is invariant
        return count / (time.perf_counter() - start)


async def redis_group(port: int, stream: str, count: int, _: bytes) -> float:
    """Return the rate at which redis-py takes the entries of a stream in a group, and acknowledges each."""
    async with redis.asyncio.Redis(port=port) as client:
        await client.xgroup_create(stream, "library", "0")
        done = 0
        start = time.perf_counter()
        while done < count:
            (_name, entries), *_ = await client.xreadgroup("library", "one", {stream: ">"}, count=200)
            for id_, _fields in entries:
                await client.xack(stream, "library", id_)
            done += len(entries)
        return count / (time.perf_counter() - start)


async def redis_pipeline(port: int, stream: str, count: int, payload: bytes) -> float:
    """Return the rate of redis-py's pipelines of a thousand `xadd()`."""
    async with redis.asyncio.Redis(port=port) as client:
        fields: dict[str, bytes | str] = {"event": "E_BENCH", "payload": payload}
        start = time.perf_counter()
        for _ in range(0, count, 1000):
            pipeline = client.pipeline(transaction=False)
            for _ in range(1000):
                pipeline.xadd(stream, fields, maxlen=10_000)  # type: ignore[arg-type] # as above
            await pipeline.execute()
        return count / (time.perf_counter() - start)


async def nats_publish(port: int, subject: str, count: int, payload: bytes) -> float:
    """Return the rate of nats-py's `publish()` to JetStream, one after the other, each acknowledged."""
    async with await nats.connect(f"nats://127.0.0.1:{port}") as client:
        jetstream = client.jetstream()
        start = time.perf_counter()
        for _ in range(count):
            await jetstream.publish(subject, payload)
        return count / (time.perf_counter() - start)


async def nats_gather(port: int, subject: str, count: int, payload: bytes) -> float:
    """Return the rate of a thousand `publish()` at once."""
    async with await nats.connect(f"nats://127.0.0.1:{port}") as client:
        jetstream = client.jetstream()
        start = time.perf_counter()
        for _ in range(0, count, 1000):
            await asyncio.gather(*(jetstream.publish(subject, payload) for _ in range(1000)))
        return count / (time.perf_counter() - start)


async def nats_publish_async(port: int, subject: str, count: int, payload: bytes) -> float:
    """Return the rate of nats-py's `publish_async()`, until all futures are done."""
    async with await nats.connect(f"nats://127.0.0.1:{port}") as client:
        jetstream = client.jetstream(publish_async_max_pending=4000)
        start = time.perf_counter()
        await asyncio.gather(*[await jetstream.publish_async(subject, payload) for _ in range(count)])
        return count / (time.perf_counter() - start)


async def nats_fetch(port: int, stream: str, count: int, _: bytes) -> float:
    """Return the rate at which nats-py fetches messages, a hundred at once, and acknowledges each."""
    async with await nats.connect(f"nats://127.0.0.1:{port}") as client:
        reader = await client.jetstream().pull_subscribe("", durable="library", stream=stream)
        taken, start = 0, time.perf_counter()
        while taken < count:
            for message in await reader.fetch(100):
                await message.ack()
                taken += 1
        return count / (time.perf_counter() - start)


async def aiobotocore_send(port: int, queue: str, count: int, payload: bytes, *, batches: bool = False) -> float:
    """Return the rate of aiobotocore's `send_message()`, one after another, or of `send_message_batch()` by ten."""
    endpoint = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    async with get_session().create_client("sqs", "us-east-1", endpoint_url=endpoint, **keys) as client:
        url, body = f"{endpoint}/{queue}", payload.decode()
        entries = [{"Id": str(number), "MessageBody": body} for number in range(10)]
        await client.send_message(QueueUrl=url, MessageBody=body)
        start = time.perf_counter()
        for _ in range(count // 10 if batches else count):
            if batches:
                await client.send_message_batch(QueueUrl=url, Entries=entries)
            else:
                await client.send_message(QueueUrl=url, MessageBody=body)
        return count / (time.perf_counter() - start)


async def aiobotocore_batches(port: int, queue: str, count: int, payload: bytes) -> float:
    """Return the rate of `send_message_batch()`."""
    return await aiobotocore_send(port, queue, count, payload, batches=True)


LOOPS = {
    loop.__name__: loop
    for loop in (
        aiokafka_send,
        aiokafka_flush,
        aio_pika_publish,
        aiomqtt_publish,
        aiomqtt_one_by_one,
        aiomqtt_messages,
        nats_publish,
        nats_gather,
        nats_publish_async,
        nats_fetch,
        redis_xadd,
        redis_pipeline,
        redis_group,
        aiobotocore_send,
        aiobotocore_batches,
    )
}

if __name__ == "__main__":
    name, port, target, count, payload = sys.argv[1:]
    print(asyncio.run(LOOPS[name](int(port), target, int(count), payload.encode())))
