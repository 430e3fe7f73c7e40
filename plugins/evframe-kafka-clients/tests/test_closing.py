"""The end of clients of the library: nothing of them is connected afterwards, nor connects again."""

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaConsumer
from evframe_kafka_clients.closing import end


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_what_is_left_of_a_client_does_not_connect_again(kafka, is_cancelled):
    """A request that the library shields, and that outlives its client, makes no connection that stays open."""
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{kafka.port}", group_id=uuid.uuid4().hex)
    await consumer.start()
    client = consumer._client
    node = client.get_random_node()
    assert await client.ready(node)
    connections = list(client._conns.values())

    ending = asyncio.ensure_future(end(consumer))
    await asyncio.sleep(0)
    if is_cancelled:
        ending.cancel()
    await asyncio.wait((ending,))

    assert not any(each.connected() for each in [*connections, *client._conns.values()])
    assert not await client.ready(node)
