"""Real brokers together: failover from one to the other, and outages in the middle of a load."""

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager
from xmlrpc.client import loads

import pytest
from brokers.load import LIMIT_S, RATE
from brokers.proxy import FaultProxy
from brokers.queues import bodies_in, make_queue
from brokers.topics import make_topic, records_in
from evframe_kafka import KafkaTransport
from evframe_rabbitmq import Options as RabbitmqOptions
from evframe_rabbitmq import RabbitmqTransport
from evframe_virtual import Options as VirtualOptions
from evframe_virtual import VirtualTransport
from evframe_xmlrpc import XmlrpcTransport
from numbered import Load, assert_all, assert_in_order
from stream_servers import StreamServer

import evframe
from evframe.testing import until

SECONDS = 8
GONE_FROM, GONE_TO = 3, 5
pytestmark = pytest.mark.timeout(120 + LIMIT_S)


async def in_queue(broker, name):
    """Return the numbers in a durable queue, and remove it."""
    return [json.loads(body)["params"]["n"] for body in await bodies_in(broker, name)]


async def in_topic(broker, name):
    """Return the numbers in a topic."""
    return [json.loads(record.value)["params"]["n"] for record in await records_in(broker, name)]


async def test_failover_from_rabbitmq_to_kafka_and_back_r12_v9(rabbitmq, kafka):
    """R12, V9: a RabbitMQ that is killed hands over to a Kafka when its connection ends, and gets events again once it is back."""
    if not hasattr(rabbitmq, "start"):
        pytest.skip("the broker that is given cannot be killed")
    topic = await make_topic(kafka)
    await make_queue(rabbitmq, "failover")
    await asyncio.to_thread(rabbitmq.keep)
    plugins = {
        "kafka": KafkaTransport(),
        "rabbitmq": RabbitmqTransport(RabbitmqOptions(timeout_ms=600_000)),  # the test would end first
        "virtual": VirtualTransport(VirtualOptions(failover_timeout_s=1.0)),
    }
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_TEST")
    first, second = f"127.0.0.1:{rabbitmq.port}/persistent?failover", f"127.0.0.1:{kafka.port}/{topic}"
    socket = f"virtual:FAILOVER rabbitmq:{first} kafka:{second}"

    def members():
        return events.describe(socket)["members"]

    lease = events.subscribe_event("E_TEST", socket)
    async with events, Load(events) as load:
        await until(lambda: lease.subscriber.delivered > 500)
        await asyncio.to_thread(rabbitmq.stop, signal.SIGKILL)
        await until(lambda: members()[1]["delivered"] > 0)
        assert members()[0]["state"] == "failed"
        await asyncio.to_thread(rabbitmq.start)
        await until(lambda: members()[0]["state"] == "healthy")
        before = members()[0]["delivered"]
        await until(lambda: members()[0]["delivered"] > before + 100)
        await load.__aexit__()
        await until(lambda: not lease.subscriber.depth)
        counters = events.statistics[0]
    at_first, at_second = await in_queue(rabbitmq, "failover"), await in_topic(kafka, topic)

    assert (counters.delivered, counters.failed) == (load.raised, 0)
    assert_all([*at_first, *at_second], load.raised)
    assert at_second == sorted(set(at_second))
    assert at_first[-1] > at_second[-1]


async def test_failover_from_a_kafka_that_hangs_k7(rabbitmq, kafka):
    """K7: a Kafka that says nothing hands over at the time limit of its records, with nothing lost."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy")
    topic = await make_topic(kafka)
    await make_queue(rabbitmq, "hangs")
    plugins = {"kafka": KafkaTransport(), "rabbitmq": RabbitmqTransport(), "virtual": VirtualTransport()}
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_TEST")
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy, events, Load(events) as load:
        socket = (
            f"virtual:FAILOVER kafka:127.0.0.1:{proxy.port}/{topic}?t.message.timeout.ms=500 "
            f"rabbitmq:127.0.0.1:{rabbitmq.port}/hangs"
        )
        lease = events.subscribe_event("E_TEST", socket)
        await until(lambda: lease.subscriber.delivered > 500)
        proxy.hold()
        await until(lambda: events.describe(socket)["members"][1]["delivered"] > 500)
        await load.__aexit__()
        await until(lambda: not lease.subscriber.depth)
        counters = events.statistics[0]
        proxy.release()
    at_second = await in_queue(rabbitmq, "hangs")

    assert counters.failed == 0
    assert at_second == sorted(set(at_second))
    assert_all([*await in_topic(kafka, topic), *at_second], load.raised)


class XmlrpcServer(StreamServer):
    """Answers calls, and goes away as it is told."""

    OK = b"<methodResponse><params><param><value><int>1</int></value></param></params></methodResponse>"

    def __init__(self):
        super().__init__(self.serve)
        self.numbers = []
        self.answers = asyncio.Event()
        self.answers.set()

    def go_away(self):
        self.refuse()
        self.reset()

    async def serve(self, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            self.numbers.append(loads(await reader.readexactly(length))[0][1])
            await self.answers.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(self.OK), self.OK))


class Outage:
    """A RabbitMQ, a Kafka and a server that go away together, in one of three ways."""

    def __init__(self, rabbitmq, kafka, server):
        self.rabbitmq, self.kafka, self.server = rabbitmq, kafka, server
        self.proxies = [FaultProxy(rabbitmq.port), FaultProxy(kafka.behind_proxy, kafka.proxy_port)]

    @asynccontextmanager
    async def unreachable(self):
        """Have connections end and new ones refused."""
        for proxy in self.proxies:
            proxy.refuse()
            proxy.reset()
        self.server.go_away()
        yield
        for proxy in self.proxies:
            await proxy.open()
        await self.server.open()

    @asynccontextmanager
    async def hung(self):
        """Have the brokers' processes stand still, and the server not answer."""
        for broker in (self.rabbitmq, self.kafka):
            broker.signal(signal.SIGSTOP)
        self.server.answers.clear()
        try:
            yield
        finally:
            for broker in (self.rabbitmq, self.kafka):
                broker.signal(signal.SIGCONT)
            self.server.answers.set()

    @asynccontextmanager
    async def killed(self):
        """End the brokers as a crash would; they take longer than two seconds to be back."""
        self.server.go_away()
        await asyncio.gather(
            *(asyncio.to_thread(broker.stop, signal.SIGKILL) for broker in (self.rabbitmq, self.kafka))
        )
        yield
        await self.server.open()
        await asyncio.gather(*(asyncio.to_thread(broker.start) for broker in (self.rabbitmq, self.kafka)))


async def raise_all(events):
    """Raise at the rate, whatever the subscribers do."""
    begin = time.monotonic() + 0.1
    for number in range(RATE * SECONDS):
        due = begin + number / RATE
        if time.monotonic() < due:
            await asyncio.sleep(due - time.monotonic())
        events.raise_event("E_TEST", {"n": number})


@pytest.mark.parametrize("how", ["hung", "killed", "unreachable"])
async def test_outage_loses_nothing(rabbitmq, kafka, how):
    """At `RATE` events a second for 8 s, gone for 2 s in the middle: rabbitmq, kafka and xmlrpc lose none.

    All options have their defaults. What is acknowledged is there; the first of each is in order.
    """
    if not (hasattr(kafka, "proxy_port") and hasattr(rabbitmq, "signal")):
        pytest.skip("the brokers that are given cannot be stopped, and have no listener behind a proxy")
    topic = await make_topic(kafka)
    await make_queue(rabbitmq, "outage")
    await asyncio.to_thread(rabbitmq.keep)
    server = XmlrpcServer()
    outage = Outage(rabbitmq, kafka, server)
    plugins = {"kafka": KafkaTransport(), "rabbitmq": RabbitmqTransport(), "xmlrpc": XmlrpcTransport()}
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_TEST")
    async with AsyncExitStack() as stack:
        for each in (server, *outage.proxies, events):
            await stack.enter_async_context(each)
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{outage.proxies[0].port}/persistent?outage")
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{outage.proxies[1].port}/{topic}")
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        raising = asyncio.create_task(raise_all(events))
        await asyncio.sleep(GONE_FROM)
        async with getattr(outage, how)():
            await asyncio.sleep(GONE_TO - GONE_FROM)
        await raising
        await until(lambda: not any(counters.depth for counters in events.statistics), LIMIT_S)
        statistics = events.statistics[:3]
    count = RATE * SECONDS

    for counters in statistics:
        assert (counters.delivered, counters.failed) == (count, 0), counters
    assert_in_order(await in_queue(rabbitmq, "outage"), count)
    assert_in_order(await in_topic(kafka, topic), count)
    assert_in_order(server.numbers, count)
