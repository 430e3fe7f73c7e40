"""What receives from the transports that need a broker or a server: real ones, started for the run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy, Transport

import aio_pika
import aiohttp
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from brokers.kafka import Kafka
from brokers.messages import keep
from brokers.mosquitto import Mosquitto
from brokers.nats import Nats
from brokers.rabbitmq import RabbitMQ
from brokers.redis import Redis
from brokers.streams import make_stream


@contextmanager
def rabbitmq() -> Iterator[int]:
    """Run a RabbitMQ; yield its port."""
    broker = RabbitMQ(starts_fast=False)
    try:
        broker.start()
        yield broker.port
    finally:
        broker.remove()


@contextmanager
def kafka() -> Iterator[int]:
    """Run a Kafka; yield its port."""
    broker = Kafka(starts_fast=False)
    try:
        broker.start()
        yield broker.port
    finally:
        broker.remove()


@contextmanager
def mosquitto() -> Iterator[Mosquitto]:
    """Run a Mosquitto."""
    broker = Mosquitto()
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()


@contextmanager
def nats() -> Iterator[Nats]:
    """Run a NATS whose streams are in files."""
    broker = Nats()
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()


async def new_stream(broker: Nats, most: int) -> str:
    """Make a stream that keeps so many messages; return its name."""
    name = f"bench{uuid.uuid4().hex[:8]}"
    await make_stream(broker, name, max_msgs=most)
    return name


@contextmanager
def redis() -> Iterator[int]:
    """Run a Redis that keeps entries in memory alone; yield its port."""
    broker = Redis("--appendonly", "no")
    try:
        broker.start()
        yield broker.port
    finally:
        broker.remove()


async def new_session(broker: Mosquitto, topic: str) -> str:
    """Make a session that keeps the messages of a topic; return its name."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    await keep(broker, name, topic)
    return name


@contextmanager
def program(name: str) -> Iterator[int]:
    """Run a peer of this folder that prints its port."""
    process = subprocess.Popen([sys.executable, Path(__file__).with_name(name)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def new_topic(port: int) -> str:
    """Make a topic with three partitions; return its name."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 3, 1)])
        while not (await admin.describe_topics([name]))[0]["partitions"]:
            await asyncio.sleep(0.05)
    finally:
        await admin.close()
    return name


async def library(loop: str, port: int, target: str, payload: bytes, count: int) -> float:
    """Return the rate of a client library's own loop, one of those in `library.py`."""
    command = [Path(__file__).with_name("library.py"), loop, str(port), target, str(count), payload.decode()]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the loop {loop} has ended with {process.returncode}")
    return float(output)


async def new_queue(port: int) -> str:
    """Make a queue that keeps no more than a few messages; return its name."""
    async with await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{port}/") as connection:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        await (await connection.channel()).declare_queue(name, durable=True, arguments={"x-max-length": 10_000})
        return name


async def aiohttp_posts(port: int, count: int, payload: bytes) -> float:
    """Return the rate of aiohttp's own `post()`, one request after another on one connection."""
    async with aiohttp.ClientSession() as session:
        start = time.perf_counter()
        for _ in range(count):
            async with session.post(f"http://127.0.0.1:{port}/", data=payload) as answer:
                await answer.read()
        return count / (time.perf_counter() - start)


def server_proxy(port: int, count: int, params: dict[str, Any]) -> float:
    """Return the rate of the standard library's `ServerProxy` on one kept-alive connection."""
    with ServerProxy(f"http://127.0.0.1:{port}", transport=Transport()) as server:
        start = time.perf_counter()
        for _ in range(count):
            server.m("E_BENCH", *params.values())
        return count / (time.perf_counter() - start)
