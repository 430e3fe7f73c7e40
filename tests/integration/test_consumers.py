"""Brokers between gateways: the same events come out, and a gateway that is killed loses none."""

import asyncio
import signal
import uuid

import aiormq
import pytest
from brokers.streams import jetstream_of, make_stream
from brokers.topics import make_topic
from evframe_kafka import KafkaTransport
from evframe_kafka_consumer import ConnectionOptions as TopicOptions
from evframe_kafka_consumer import KafkaConsumer
from evframe_kafka_consumer import Options as KafkaOptions
from evframe_nats import NatsTransport
from evframe_nats_consumer import ConnectionOptions as NatsStreamOptions
from evframe_nats_consumer import NatsConsumer
from evframe_nats_consumer import Options as NatsOptions
from evframe_rabbitmq import RabbitmqTransport
from evframe_rabbitmq_consumer import ConnectionOptions as QueueOptions
from evframe_rabbitmq_consumer import Options as RabbitmqOptions
from evframe_rabbitmq_consumer import RabbitmqConsumer
from evframe_redis import RedisTransport
from evframe_redis_consumer import ConnectionOptions as StreamOptions
from evframe_redis_consumer import Options as RedisOptions
from evframe_redis_consumer import RedisConsumer
from numbered import assert_all

import evframe
from evframe.testing import MemoryTransport, until

COUNT = 10_000
PREFETCH = 200
PARAMS = [
    None,
    {"s": "text", "n": 42, "f": 1.5, "t": True, "z": None},
    {"quote": '"\\/\n\x01', "utf8": "é€😀", "bytes": b"\xff\xfe", "nul": "a\0b"},
    {"nested": {"list": [1, {"a": []}]}, "big": 2**100, "edge": 2**63},
    ["positional", 7, b"\xc3"],
    evframe.Pairs([("k", 1), ("k", 2), (None, "x")]),
]
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def queue(rabbitmq):
    """Return a durable queue."""
    name = f"q-{uuid.uuid4().hex[:8]}"
    async with aiormq.connect(f"amqp://127.0.0.1:{rabbitmq.port}/") as connection:
        channel = await connection.channel()
        await channel.queue_declare(name, durable=True)
        yield name
        await channel.queue_delete(name)


@pytest.fixture
async def topic(kafka):
    """Return a topic with six partitions."""
    return await make_topic(kafka, 6)


@pytest.fixture
async def stream(nats):
    """Return a stream."""
    name = f"s{uuid.uuid4().hex[:8]}"
    await make_stream(nats, name)
    yield name
    async with jetstream_of(nats) as jetstream:
        await jetstream.delete_stream(name)


def sender(socket):
    """Return an interface that sends the event `E_N` to *socket*."""
    plugins = {
        "rabbitmq": RabbitmqTransport(),
        "kafka": KafkaTransport(),
        "nats": NatsTransport(),
        "redis": RedisTransport(),
    }
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_N")
    events.subscribe_event("E_N", socket)
    return events


async def round_trip(socket, source):
    """Return the payloads of `E_N` that were sent, and those that came back."""
    memory = MemoryTransport()
    receiving = evframe.EventInterface(plugins={"memory": memory, "source": source})
    receiving.register_event("E_N")
    receiving.subscribe_event("E_N", "memory:a")
    sent = []
    async with receiving, sender(socket) as sending:
        for params in PARAMS:
            assert (await sending.raise_event_and_wait("E_N", params))[0].delivered
            sent.append(sending.event("E_N").snapshot(params, 0.0).payload)
        await until(lambda: len(memory.delivered.get("a", ())) == len(PARAMS))
    return sent, [event.payload for event in memory.delivered["a"]]


async def test_round_trip_through_rabbitmq(rabbitmq, queue):
    """What one evframe sends to a queue is the same event at the next one, byte by byte."""
    source = RabbitmqConsumer(RabbitmqOptions([QueueOptions(queue=queue, uri=f"amqp://127.0.0.1:{rabbitmq.port}/")]))
    sent, received = await round_trip(f"rabbitmq:127.0.0.1:{rabbitmq.port}/{queue}", source)

    assert received == sent


async def test_round_trip_through_kafka(kafka, topic):
    """What one evframe sends to a topic is the same event at the next one, byte by byte."""
    source = KafkaConsumer(
        KafkaOptions([TopicOptions(topics=[topic], brokers=f"127.0.0.1:{kafka.port}", group_id=topic)])
    )
    sent, received = await round_trip(f"kafka:127.0.0.1:{kafka.port}/{topic}?partition=3", source)

    assert received == sent


async def test_round_trip_through_redis(redis):
    """What one evframe adds to a stream is the same event at the next one, byte by byte."""
    stream, url = f"s-{uuid.uuid4().hex[:8]}", f"redis://127.0.0.1:{redis.port}"
    source = RedisConsumer(RedisOptions([StreamOptions(stream=stream, url=url)]))
    sent, received = await round_trip(f"{url}?stream={stream}", source)

    assert received == sent


async def test_round_trip_through_nats(nats, stream):
    """What one evframe sends to a stream is the same event at the next one, byte by byte."""
    source = NatsConsumer(NatsOptions([NatsStreamOptions(stream=stream, url=f"nats://127.0.0.1:{nats.port}")]))
    sent, received = await round_trip(f"nats://127.0.0.1:{nats.port}/{stream}.a", source)

    assert received == sent


def numbers(file):
    return [int(line.partition(",")[2]) for line in file.read_text().splitlines()] if file.exists() else []


async def kill_one_of_three(start, command, socket, tmp_path):
    """Send numbered events to gateways that write them to files, and kill one of them in the middle.

    Returns the numbers that each has written, the killed one's first.
    """
    files = [tmp_path / f"lines-{number}" for number in range(3)]
    gateways = [start(f'[[subscriptions]]\nevent = "E_N"\nsocket = "flatstore:{file}"\n') for file in files]

    def listed(gateway):
        return gateway.client.call(command)["Connections"][0]

    await until(lambda: all(listed(gateway)["state"] == "consuming" for gateway in gateways))
    await until(lambda: all(len(listed(gateway).get("partitions", "xx")) == 2 for gateway in gateways))
    async with sender(socket) as sending:
        for number in range(COUNT):
            sending.raise_event("E_N", {"n": number})
            if number % 50 == 49:
                await asyncio.sleep(0.01)
            if number == COUNT // 2:
                await until(lambda: len(numbers(files[0])) > 500)
                gateways[0].process.kill()
        await until(lambda: sending.statistics[0].delivered == COUNT)
    await until(lambda: len(set().union(*map(numbers, files))) == COUNT)
    await until(lambda: not any(listed(gateway)["waiting"] for gateway in gateways[1:]))
    for gateway in gateways[1:]:
        assert gateway.stop() == 0
    return [numbers(file) for file in files]


async def test_kill_one_of_three_consumers_of_a_queue(gateway, rabbitmq, queue, tmp_path):
    """Of three gateways on one queue one is killed: nothing is lost.

    What comes twice is what the killed one had under way, of which there are no more than its prefetch.
    """

    def start(toml):
        return gateway(
            f'{toml}[[plugins.rabbitmq-consumer.connections]]\nuri = "amqp://127.0.0.1:{rabbitmq.port}/"\n'
            f'queue = "{queue}"\nprefetch = {PREFETCH}\n'
        )

    socket = f"rabbitmq:127.0.0.1:{rabbitmq.port}/persistent?{queue}"
    killed, *others = await kill_one_of_three(start, "rabbitmq_consumer:list", socket, tmp_path)
    again = set(killed) & {number for other in others for number in other}

    assert_all(killed + others[0] + others[1], COUNT)
    assert len(killed) + len(others[0]) + len(others[1]) == COUNT + len(again)
    assert len(again) <= PREFETCH


async def test_kill_one_of_three_consumers_of_a_nats_stream(gateway, nats, stream, tmp_path):
    """Of three gateways with one consumer of a stream one is killed: nothing is lost.

    What comes twice is what the killed one had under way, of which there are no more than its prefetch.
    """

    def start(toml):
        return gateway(
            f'{toml}[[plugins.nats-consumer.connections]]\nurl = "nats://127.0.0.1:{nats.port}"\n'
            f'stream = "{stream}"\nprefetch = {PREFETCH}\nack_wait_ms = 3000\n'
        )

    socket = f"nats://127.0.0.1:{nats.port}/{stream}.a"
    killed, *others = await kill_one_of_three(start, "nats_consumer:list", socket, tmp_path)
    again = set(killed) & {number for other in others for number in other}

    assert_all(killed + others[0] + others[1], COUNT)
    assert len(killed) + len(others[0]) + len(others[1]) == COUNT + len(again)
    assert len(again) <= PREFETCH


async def test_kill_one_of_three_members_of_a_group(gateway, kafka, topic, tmp_path):
    """Of three gateways in one consumer group one is killed: the others take its partitions, and nothing is lost.

    What comes twice is what the killed one had delivered since its last commit.
    """

    def start(toml):
        return gateway(
            f'{toml}[[plugins.kafka-consumer.connections]]\nbrokers = "127.0.0.1:{kafka.port}"\n'
            f'topics = ["{topic}"]\ngroup_id = "{topic}"\nmax_in_flight = {PREFETCH}\ncommit_interval_ms = 100\n'
            'properties = { "session.timeout.ms" = 6000, "heartbeat.interval.ms" = 200 }\n'
        )

    socket = f"kafka:127.0.0.1:{kafka.port}/{topic}"
    killed, *others = await kill_one_of_three(start, "kafka_consumer:list", socket, tmp_path)
    again = set(killed) & {number for other in others for number in other}

    assert_all(killed + others[0] + others[1], COUNT)
    assert len(killed) + len(others[0]) + len(others[1]) == COUNT + len(again)
    assert len(again) < len(killed)


async def test_kill_one_of_three_consumers_of_a_stream(gateway, redis, tmp_path):
    """Of three gateways in one group of a stream one is killed: the others take over what it had, and nothing is lost."""
    stream, url = f"s-{uuid.uuid4().hex[:8]}", f"redis://127.0.0.1:{redis.port}"

    def start(toml):
        return gateway(
            f'{toml}[[plugins.redis-consumer.connections]]\nurl = "{url}"\nstream = "{stream}"\n'
            f"prefetch = {PREFETCH}\nclaim_idle_ms = 1000\n"
        )

    killed, *others = await kill_one_of_three(start, "redis_consumer:list", f"{url}?stream={stream}", tmp_path)
    again = set(killed) & {number for other in others for number in other}

    assert_all(killed + others[0] + others[1], COUNT)
    assert len(again) <= PREFETCH  # on a busy machine the others may have taken over from each other, too


async def test_terminated_gateway_leaves_the_rest(gateway, rabbitmq, queue, tmp_path):
    """SIGTERM in the middle: what was not delivered is in the queue, and the next gateway has it."""
    file = tmp_path / "lines"

    def start():
        return gateway(
            f'[[plugins.rabbitmq-consumer.connections]]\nuri = "amqp://127.0.0.1:{rabbitmq.port}/"\n'
            f'queue = "{queue}"\nprefetch = {PREFETCH}\n'
            f'[[subscriptions]]\nevent = "E_N"\nsocket = "flatstore:{file}"\n'
        )

    async with sender(f"rabbitmq:127.0.0.1:{rabbitmq.port}/persistent?{queue}") as sending:
        for number in range(COUNT):
            sending.raise_event("E_N", {"n": number})
        await until(lambda: sending.statistics[0].delivered == COUNT)
    for _ in range(2):
        running = start()
        enough = min(len(numbers(file)) + 1000, COUNT)
        await until(lambda enough=enough: len(numbers(file)) >= enough)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=30) == 0
    running = start()
    await until(lambda: len(numbers(file)) >= COUNT)
    assert running.stop() == 0

    assert numbers(file) == list(range(COUNT))  # each once: what was delivered was acknowledged
