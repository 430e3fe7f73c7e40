"""Topics of a Kafka: made, and read."""

import asyncio
import json
import uuid
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def make_topic(broker, partitions=1, name=None, **configuration):
    """Make a topic, and return its name once the broker serves it."""
    name = name or f"t-{uuid.uuid4().hex[:8]}"
    await make_topics(broker, [name], partitions, **configuration)
    return name


async def make_topics(broker, names, partitions=1, **configuration):
    """Make topics of these names, and return once the broker serves them."""
    async with administrating(broker) as admin:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configuration) for name in names])
        while not all(topic["partitions"] for topic in await admin.describe_topics(names)):
            await asyncio.sleep(0.01)
    # A broker names a topic a moment before it takes records for it, which are lost without acknowledgements.
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}")
    async with asyncio.timeout(60):
        await consumer.start()
        try:
            await consumer.end_offsets([TopicPartition(name, number) for name in names for number in range(partitions)])
        finally:
            await consumer.stop()


async def delete_topic(broker, name):
    """Delete a topic, and return once the broker has it no more."""
    async with administrating(broker) as admin:
        await admin.delete_topics([name])
        while name in await admin.list_topics():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def administrating(broker):
    """Yield a client that makes and deletes topics, for a minute at most."""
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{broker.port}")
    async with asyncio.timeout(60):
        await admin.start()
        try:
            cluster = admin._client.cluster
            while cluster.controller is None:  # a broker that has just started may name no broker at all
                await admin._client.force_metadata_update()
            yield admin
        finally:
            await admin.close()


@asynccontextmanager
async def consuming(broker, topic, partitions=1):
    """Yield a consumer of a topic from its beginning."""
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}", auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    try:
        yield consumer
    finally:
        await consumer.stop()


async def take(consumer, count):
    """Return the next *count* records."""
    got = []
    async with asyncio.timeout(60 + count / 500):
        while len(got) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                got += records
    return got


async def records_in(broker, topic, partitions=1):
    """Return all records that are in a topic now."""
    async with consuming(broker, topic, partitions) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        return await take(consumer, sum(ends.values()))


async def numbers_in(broker, topic):
    """Return the first parameter of every event in a topic of one partition."""
    return [json.loads(record.value)["params"][0] for record in await records_in(broker, topic)]
