"""Names of kept events at real brokers: what comes twice after a kill has the same one, and nothing else has it."""

import asyncio
from collections import defaultdict

import pytest
from brokers.proxy import FaultProxy
from brokers.queues import channel_of, make_queue
from brokers.redis import entries_in
from brokers.rsyslog import Rsyslog
from brokers.streams import make_stream, messages_in
from brokers.topics import make_topic, records_in
from kept import Gateway, configuration, delivered, kept, number_of, on_disk
from processes import until
from sqs_front import LOST, Front
from webhook_server import Server

pytestmark = pytest.mark.timeout(180)


async def crash(folder, socket, proxy, more=0):
    """Have a gateway killed whose broker takes messages and confirms none, and another one deliver the rest.

    So many bytes *more* are sent without a confirmation; Kafka is sent nothing more than what is under way.
    """
    path = configuration(folder, socket)
    gateway = Gateway(path, 0, 100_000)
    try:
        await asyncio.to_thread(until, lambda: gateway.has_raised(200) and proxy.sent > 10_000)
        proxy.hold_back()
        raised, sent = gateway.next, proxy.sent
        await asyncio.to_thread(until, lambda: proxy.sent >= sent + more and gateway.has_raised(raised + 200))
        await asyncio.to_thread(until, lambda: on_disk(folder / "journal"))
    finally:
        await asyncio.to_thread(gateway.kill)
    proxy.reset()
    proxy.release()
    gateway = Gateway(path, 1_000_000, 100)
    assert await asyncio.to_thread(gateway.end) == 0


def assert_named(named):
    """Fail unless each number has one name, which no other has, and some came twice."""
    by_number = defaultdict(list)
    for number, name in named:
        assert name
        by_number[number].append(name)
    assert max(map(len, by_number.values())) > 1
    names = {number: set(names) for number, names in by_number.items()}
    assert max(map(len, names.values())) == 1
    assert len(set.union(*names.values())) == len(names)


async def test_message_ids(tmp_path, rabbitmq):
    """Messages that RabbitMQ gets again after a kill have the ids that they had before."""
    name = f"ids-{tmp_path.name}"
    await make_queue(rabbitmq, name)
    async with FaultProxy(rabbitmq.port) as proxy:
        await crash(tmp_path, f"rabbitmq:127.0.0.1:{proxy.port}/persistent?{name}", proxy, more=500)
    got = []
    async with channel_of(rabbitmq) as channel:
        queue = await channel.declare_queue(name, durable=True)
        while message := await queue.get(no_ack=True, fail=False):
            got.append((number_of(message.body), message.message_id))
        await queue.delete(if_unused=False, if_empty=False)
    assert_named(got)


async def test_headers_of_records(tmp_path, kafka):
    """Records that Kafka gets again after a kill have the ids that they had before, in a header."""
    topic = await make_topic(kafka)
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy:
        await crash(tmp_path, f"kafka:127.0.0.1:{proxy.port}/{topic}", proxy)
    records = await records_in(kafka, topic)
    assert_named([(number_of(record.value), dict(record.headers)["evframe-id"]) for record in records])


async def test_fields_of_entries(tmp_path, redis):
    """Entries that Redis gets again after a kill have the ids that they had before, in a field."""
    name = f"ids-{tmp_path.name}"
    async with FaultProxy(redis.port) as proxy:
        await crash(tmp_path, f"redis://127.0.0.1:{proxy.port}?stream={name}", proxy)
    entries = entries_in(redis, name)
    assert_named([(number_of(fields[b"payload"]), fields[b"evframe-id"]) for fields in entries])


async def test_ids_of_streams(tmp_path, nats):
    """A stream recognises the messages that it gets again after a kill, and has each of them once."""
    name = f"s{tmp_path.name.replace('_', '')}"
    await make_stream(nats, name)
    async with FaultProxy(nats.port) as proxy:
        await crash(tmp_path, f"nats://127.0.0.1:{proxy.port}/{name}.a", proxy, more=500)
    messages = await messages_in(nats, name)
    numbers = [number_of(message.data) for message in messages]
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers)
    assert len({message.headers["Nats-Msg-Id"] for message in messages}) == len(numbers)


async def test_webhook_ids(tmp_path):
    """Webhooks that a server gets again after a kill have the ids that they had before."""
    async with Server() as server, FaultProxy(server.port) as proxy:
        await crash(tmp_path, f"http://127.0.0.1:{proxy.port}/hook", proxy)
    assert_named([(number_of(body), request.headers["webhook-id"]) for request, body in server.requests])


async def test_ids_in_syslog(tmp_path):
    """Messages that a receiver gets again after its end have the ids that they had before, in structured data."""
    broker = Rsyslog()
    try:
        await asyncio.to_thread(broker.start)
        async with kept(tmp_path, f"syslog:tcp:127.0.0.1:{broker.port}", "[plugins.syslog]\nresend_ms = 60000\n"):
            for count in (5, 10):
                await asyncio.to_thread(until, lambda count=count: len(broker.messages()) >= count)
                await asyncio.to_thread(broker.stop)
                await asyncio.to_thread(broker.start)
        found = [each["data"] for each in broker.messages()]
    finally:
        await asyncio.to_thread(broker.remove)
    assert_named([(each["event@32473"]["n"], each["delivery@32473"]["id"]) for each in found])


async def test_ids_in_sqs(tmp_path, moto):
    """Messages that a queue gets again have the ids that they had before, in an attribute."""
    url = await asyncio.to_thread(moto.make_queue, f"ids-{tmp_path.name.replace('_', '-')}")
    answers = [LOST]
    keys = '[plugins.sqs]\naccess_key_id = "key"\nsecret_access_key = "secret"\nregion = "us-east-1"\n'
    async with Front(moto.port, lambda *_: answers.pop() if answers else None) as front:
        socket = f"sqs:http://127.0.0.1:{front.port}/{url.split('/', 3)[3]}"
        async with kept(tmp_path, socket, keys) as events:
            await delivered(events)
    messages = await asyncio.to_thread(moto.take_all, url)
    assert_named(
        [(number_of(each["Body"]), each["MessageAttributes"]["evframe-id"]["StringValue"]) for each in messages]
    )
