"""Topics of a Kafka: made, and read."""

import asyncio
import json
import uuid
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def make_topic(broker, partitions=1, **configuration):
    """Make a topic, and return its name once the broker serves it."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{broker.port}")
    async with asyncio.timeout(60):
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configuration)])
            while not (await admin.describe_topics([name]))[0]["partitions"]:
                await asyncio.sleep(0.01)
        finally:
            await admin.close()
    return name


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
    async with asyncio.timeout(60):
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
