"""Real brokers together: failover from one to the other, and outages in the middle of a load."""

import asyncio
import json
import signal
import time
import uuid
from xmlrpc.client import loads

import aio_pika
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from brokers.proxy import FaultProxy
from evframe_kafka import KafkaTransport
from evframe_rabbitmq import RabbitmqTransport
from evframe_virtual import Options as VirtualOptions
from evframe_virtual import VirtualTransport
from evframe_xmlrpc import XmlrpcTransport
from numbered import assert_all

import evframe
from evframe.testing import until

RATE, SECONDS = 2000, 8
pytestmark = pytest.mark.timeout(180)


async def in_queue(broker, name):
    """Return the numbers in a durable queue, and remove it."""
    async with await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{broker.port}/") as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name, durable=True)
        count = queue.declaration_result.message_count
        numbers = []
        async with asyncio.timeout(60), queue.iterator(no_ack=True) as messages:
            while len(numbers) < count:
                numbers.append(json.loads((await anext(messages)).body)["params"]["n"])
        await queue.delete()
    return numbers


async def make_queue(broker, name):
    async with await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{broker.port}/") as connection:
        await (await connection.channel()).declare_queue(name, durable=True)


async def make_topic(broker):
    name = f"t-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{broker.port}")
    async with asyncio.timeout(60):
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, 1, 1)])
            while not (await admin.describe_topics([name]))[0]["partitions"]:
                await asyncio.sleep(0.01)
        finally:
            await admin.close()
    return name


async def in_topic(broker, name):
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}", auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(name, 0)
        consumer.assign([partition])
        count = (await consumer.end_offsets([partition]))[partition]
        numbers = []
        async with asyncio.timeout(60):
            while len(numbers) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    numbers += [json.loads(record.value)["params"]["n"] for record in records]
    finally:
        await consumer.stop()
    return numbers


async def test_failover_from_rabbitmq_to_kafka_and_back(rabbitmq, kafka):
    """A RabbitMQ that is killed hands over to a Kafka within a second, and gets the events again once it is back."""
    if not hasattr(rabbitmq, "start"):
        pytest.skip("the broker that is given cannot be killed")
    topic = await make_topic(kafka)
    await make_queue(rabbitmq, "failover")
    await asyncio.to_thread(rabbitmq.keep)
    plugins = {
        "kafka": KafkaTransport(),
        "rabbitmq": RabbitmqTransport(),
        "virtual": VirtualTransport(VirtualOptions(failover_timeout_s=1.0)),
    }
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_TEST")
    socket = (
        f"virtual:FAILOVER rabbitmq:127.0.0.1:{rabbitmq.port}/persistent?failover kafka:127.0.0.1:{kafka.port}/{topic}"
    )
    raised = 0

    async def load(running):
        nonlocal raised
        while running():
            for _ in range(20):
                events.raise_event("E_TEST", {"n": raised})
                raised += 1
            await asyncio.sleep(0.01)

    def members():
        return events.describe(lease.subscriber.socket)["members"]

    lease = events.subscribe_event("E_TEST", socket)
    async with events:
        phase = "first"
        loading = asyncio.create_task(load(lambda: phase != "end"))
        await until(lambda: lease.subscriber.delivered > 500)
        killing = asyncio.create_task(asyncio.to_thread(rabbitmq.stop, signal.SIGKILL))
        await until(lambda: members()[0]["state"] == "failed")
        failed_at = time.monotonic()
        await until(lambda: members()[1]["delivered"] > 0)
        switched_after = time.monotonic() - failed_at
        await killing
        await asyncio.to_thread(rabbitmq.start)
        await until(lambda: members()[0]["state"] == "healthy")
        before = members()[0]["delivered"]
        await until(lambda: members()[0]["delivered"] > before + 100)
        phase = "end"
        await loading
        await until(lambda: not lease.subscriber.depth)
        counters = events.statistics[0]
    first, second = await in_queue(rabbitmq, "failover"), await in_topic(kafka, topic)

    assert switched_after < 1.0
    assert (counters.delivered, counters.failed) == (raised, 0)
    assert_all([*first, *second], raised)
    assert first[-1] > second[-1]


class XmlrpcServer:
    """Answers calls, and goes away as it is told."""

    OK = b"<methodResponse><params><param><value><int>1</int></value></param></params></methodResponse>"

    def __init__(self):
        self.numbers, self.port, self.writers = [], 0, set()

    async def open(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self):
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()

    async def serve(self, reader, writer):
        self.writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.numbers.append(loads(await reader.readexactly(length))[0][1])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(self.OK), self.OK))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


async def test_outage_loses_nothing(rabbitmq, kafka):
    """At 2,000 events/s for 8 s, gone for 2 s in the middle: rabbitmq, kafka and xmlrpc lose none of 16,000."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy")
    topic = await make_topic(kafka)
    await make_queue(rabbitmq, "outage")
    server = XmlrpcServer()
    await server.open()
    plugins = {"kafka": KafkaTransport(), "rabbitmq": RabbitmqTransport(), "xmlrpc": XmlrpcTransport()}
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_TEST")
    async with (
        FaultProxy(rabbitmq.port) as rabbit_proxy,
        FaultProxy(kafka.behind_proxy, kafka.proxy_port) as kafka_proxy,
        events,
    ):
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbit_proxy.port}/outage")
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka_proxy.port}/{topic}")
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        begin = time.monotonic() + 0.1
        steps = [(3, "away"), (5, "back")]
        for number in range(RATE * SECONDS):
            due = begin + number / RATE
            if time.monotonic() < due:
                await asyncio.sleep(due - time.monotonic())
            if steps and number == steps[0][0] * RATE:
                if steps.pop(0)[1] == "away":
                    for proxy in (rabbit_proxy, kafka_proxy):
                        proxy.refuse()
                        proxy.reset()
                    server.close()
                else:
                    await rabbit_proxy.open()
                    await kafka_proxy.open()
                    await server.open()
            events.raise_event("E_TEST", {"n": number})
        await until(lambda: not any(counters.depth for counters in events.statistics))
        statistics = events.statistics[:3]
    server.close()
    count = RATE * SECONDS

    for counters in statistics:
        assert (counters.delivered, counters.failed) == (count, 0), counters
    assert_all(await in_queue(rabbitmq, "outage"), count)
    assert_all(await in_topic(kafka, topic), count)
    assert_all(server.numbers, count)
