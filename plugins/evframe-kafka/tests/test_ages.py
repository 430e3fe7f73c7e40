"""The greatest age of a producer: it is exchanged while events flow, and none of them is lost."""

import json

import pytest
from brokers.topics import make_topic, records_in
from evframe_kafka import KafkaTransport
from evframe_kafka import Options as KafkaOptions
from numbered import Load

import evframe
from evframe.testing import until

pytestmark = pytest.mark.timeout(90)


async def test_a_producer_is_exchanged_at_its_greatest_age(kafka):
    """While events flow, one producer follows the other, and no event is lost, overtaken or sent twice."""
    topic = await make_topic(kafka)
    transport = KafkaTransport(KafkaOptions(max_connection_age_s=0.5))
    events = evframe.EventInterface(plugins={"kafka": transport})
    events.register_event("E_TEST")
    producers = set()

    def are_four():
        producers.update(each._producing.producer for each in transport._clusters.values() if each._producing)
        return len(producers) >= 4

    async with events, Load(events) as load:
        lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}")
        await until(are_four, timeout_s=40)
        await load.__aexit__()
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.attempts) == (lease.subscriber.raised, 0)
    numbers = [json.loads(record.value)["params"]["n"] for record in await records_in(kafka, topic)]
    assert numbers == list(range(load.raised - lease.subscriber.raised, load.raised))
