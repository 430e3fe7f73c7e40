"""Records that a Kafka refuses, each by itself, among others that it takes."""

import asyncio
import json
import random

import pytest
from brokers.topics import make_topic, records_in
from evframe_kafka import KafkaTransport, Options
from numbered import assert_exactly

import evframe
from evframe.testing import until

pytestmark = pytest.mark.timeout(120)


def interface(**options):
    events = evframe.EventInterface(plugins={"kafka": KafkaTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


class Raised:
    """Events that were raised with numbers, and the outcome of each."""

    def __init__(self, events):
        self.events, self.reasons, self.count = events, {}, 0

    def put(self, padding="", **more):
        number, self.count = self.count, self.count + 1

        def take(reasons):
            self.reasons[number] = reasons[0]

        self.events.raise_event_and_tell("E_TEST", {"n": number, "p": padding, **more}, take)

    async def settled(self):
        await until(lambda: len(self.reasons) == self.count)

    def failed(self, reason):
        return {number for number, each in self.reasons.items() if each == reason}


async def numbers_by_partition(broker, topic, partitions=1):
    """Return the numbers of the events in each partition of a topic, in order."""
    found = {}
    for record in await records_in(broker, topic, partitions):
        found.setdefault(record.partition, []).append(json.loads(record.value)["params"]["n"])
    return found


@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
async def test_a_batch_over_the_limit_of_the_topic_is_split(kafka, idempotent):
    """Records that a topic takes one by one arrive, however large their batches would have been, once and in order."""
    topic = await make_topic(kafka, **{"max.message.bytes": "20000"})
    async with interface(enable_idempotence=idempotent) as events:
        raised = Raised(events)
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}")
        for number in range(20_000):
            raised.put()
            if number % 1000 == 0:
                await asyncio.sleep(0)
        await raised.settled()
    assert set(raised.reasons.values()) == {None}
    assert_exactly((await numbers_by_partition(kafka, topic))[0], 20_000)


@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
async def test_a_record_over_the_limit_of_the_topic_fails_alone(kafka, idempotent):
    """Only the record that the brokers refuse alone is counted as too large; the others arrive once and in order."""
    topic = await make_topic(kafka, **{"max.message.bytes": "20000"})
    large = {0, 700, 701, 2999}
    async with interface(enable_idempotence=idempotent) as events:
        raised = Raised(events)
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}")
        for number in range(3000):
            raised.put("x" * 30_000 if number in large else "")
        await raised.settled()
    assert raised.failed("too_large") == large
    assert (await numbers_by_partition(kafka, topic))[0] == [n for n in range(3000) if n not in large]


async def test_a_record_without_the_key_that_its_topic_wants_fails_alone(kafka):
    """A compacted topic takes no record without a key: only those of the events without the parameter fail."""
    topic = await make_topic(kafka, **{"cleanup.policy": "compact"})
    async with interface() as events:
        raised = Raised(events)
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}?key=caller&partition=0")
        for number in range(500):
            raised.put(**({} if number in {3, 250} else {"caller": str(number)}))
        await raised.settled()
    assert raised.failed("invalid_message") == {3, 250}
    assert len((await numbers_by_partition(kafka, topic))[0]) == 498


@pytest.mark.parametrize("seed", range(4))
async def test_random_refusals(kafka, seed):
    """Of random events to a topic with a limit, each arrives in the order of its partition, or is counted as too large."""
    chance = random.Random(seed)
    most = chance.choice([2000, 20_000, 100_000])
    topic = await make_topic(kafka, 3, **{"max.message.bytes": str(most)})
    property_ = chance.choice(["", "&g.enable.idempotence=true", "&g.compression.type=gzip"])
    options = {"batch_bytes": chance.choice([5000, 262_144]), "max_in_flight": chance.choice([100, 16_384])}
    async with interface(**options) as events:
        raised = Raised(events)
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}?key=caller{property_}")
        for _ in range(2000):
            size = chance.choice([0, 10, 10, 100, most // 4]) if chance.random() > 0.02 else most
            raised.put(chance.randbytes(size // 2).hex(), caller=chance.randrange(5))
            if chance.random() < 0.02:
                await asyncio.sleep(chance.choice([0, 0.001, 0.01]))
        await raised.settled()
    found = await numbers_by_partition(kafka, topic, 3)
    assert set(raised.reasons.values()) <= {None, "too_large"}
    assert all(numbers == sorted(set(numbers)) for numbers in found.values())
    assert {number for numbers in found.values() for number in numbers} == raised.failed(None)
