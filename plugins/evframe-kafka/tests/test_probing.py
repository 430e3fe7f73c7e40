"""What a probe finds out about the target of a subscriber, without a record."""

import pytest
from brokers.topics import make_topic
from evframe_kafka import KafkaTransport, Options

import evframe
from evframe.config import CoreOptions
from evframe.testing import until

pytestmark = pytest.mark.timeout(120)


async def test_a_missing_topic_is_known_without_a_record(kafka):
    """The brokers are asked for the topic: one that is missing has its reason, one that exists is connected."""
    topic = await make_topic(kafka)
    config = evframe.Config(core=CoreOptions(drain_timeout_s=0.1))
    events = evframe.EventInterface(config, plugins={"kafka": KafkaTransport(Options())})
    events.register_event("E_TEST")
    async with events:
        there = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}", configured=True)
        missing = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/no-such-topic", configured=True)
        await until(lambda: "unknown" not in (events.state(there), events.state(missing)))
        assert (events.state(there), events.away(missing)) == ("connected", "unknown_topic")
