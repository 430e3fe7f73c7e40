"""A Kafka whose brokers advertise addresses, and come back at others."""

import asyncio

import pytest
from brokers import kafka as kafkas
from brokers.kafka import Kafka
from brokers.rabbitmq import free_port
from brokers.topics import make_topic
from evframe_kafka import KafkaTransport, Options
from evframe_kafka_consumer import ConnectionOptions, KafkaConsumer
from evframe_kafka_consumer import Options as ConsumerOptions

import evframe
from evframe.testing import FakeNames, MemoryTransport, until

pytestmark = pytest.mark.timeout(180)
NAME = "kafka.example"


@pytest.fixture
def moving(kafka):
    """Return a Kafka of the test's own."""
    broker = Kafka()
    try:
        yield broker
    finally:
        broker.remove()


async def test_brokers_are_found_where_their_name_is_now(moving):
    """When every known broker fails, the brokers to begin with are looked up again, to send and to consume."""
    port = free_port()
    moving.move("127.0.0.2", port)
    await asyncio.to_thread(moving.start)
    topic = await make_topic(moving)
    memory = MemoryTransport()
    consumed = ConnectionOptions(topics=[topic], brokers=f"{NAME}:{port}", event="E_CONSUMED", events=[])
    plugins = {
        "kafka": KafkaTransport(Options(delivery_timeout_ms=2000)),
        "kafka-consumer": KafkaConsumer(ConsumerOptions(connections=[consumed])),
        "memory": memory,
    }
    with FakeNames({NAME: ["127.0.0.2"]}) as names:
        events = evframe.EventInterface(plugins=plugins)
        events.resolver.lookup = names
        events.register_event("E_TEST")
        async with events:
            events.subscribe_event("E_CONSUMED", "memory:m")
            lease = events.subscribe_event("E_TEST", f"kafka:{NAME}:{port}/{topic}")
            events.raise_event("E_TEST", [1])
            await until(lambda: memory.delivered.get("m"))
            await asyncio.to_thread(moving.stop)
            moving.move("127.0.0.3", port)
            names[NAME] = ["127.0.0.3"]
            events.raise_event("E_TEST", [2])
            await asyncio.to_thread(moving.start)
            await until(lambda: lease.subscriber.delivered == 2)
            await until(lambda: len({event.payload for event in memory.delivered["m"]}) == 2)


async def test_consumer_of_a_cluster_whose_name_for_a_broker_does_not_resolve(kafka):
    """The consumer's state is `unresolved`, and it consumes once the name resolves."""
    if not hasattr(kafka, "named_port"):
        pytest.skip("the broker that is given has no listener that advertises a name")
    topic, memory = await make_topic(kafka), MemoryTransport()
    brokers = f"127.0.0.1:{kafka.named_port}"
    consumed = ConnectionOptions(topics=[topic], brokers=brokers, event="E_CONSUMED", events=[], retry_timeout_ms=100)
    plugins = {"kafka-consumer": KafkaConsumer(ConsumerOptions(connections=[consumed])), "memory": memory}
    with FakeNames({kafkas.NAME: []}) as names:
        events = evframe.EventInterface(plugins=plugins | {"kafka": KafkaTransport()})
        events.resolver.lookup = names
        events.register_event("E_TEST")
        async with events:
            events.subscribe_event("E_CONSUMED", "memory:m")
            events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}")
            listed = events.commands.find("kafka_consumer:list").run
            await until(lambda: listed({})["Connections"][0]["state"] == "unresolved")
            names[kafkas.NAME] = ["127.0.0.1"]
            assert (await events.raise_event_and_wait("E_TEST", timeout_s=30))[0].delivered
            await until(lambda: memory.delivered.get("m"))
