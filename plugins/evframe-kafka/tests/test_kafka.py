"""The transport against a real Kafka."""

import asyncio
import json
import signal
import uuid
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from brokers.proxy import FaultProxy
from evframe_kafka import KafkaTransport, Options
from numbered import assert_in_order

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import Peer, TransportContract, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))
pytestmark = pytest.mark.timeout(120)


def interface(config=None, **options):
    events = evframe.EventInterface(config, plugins={"kafka": KafkaTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


async def make_topic(broker, partitions=1):
    """Make a topic and return its name once the broker serves it."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{broker.port}")
    async with asyncio.timeout(60):
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1)])
            while not (await admin.describe_topics([name]))[0]["partitions"]:
                await asyncio.sleep(0.01)
        finally:
            await admin.close()
    return name


@pytest.fixture
async def topic(kafka):
    """Return a topic of the test's own, with one partition."""
    return await make_topic(kafka)


@asynccontextmanager
async def consuming(broker, topic, partitions=1):
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}", auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    try:
        yield consumer
    finally:
        await consumer.stop()


async def take(consumer, count):
    got = []
    async with asyncio.timeout(60):
        while len(got) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                got += records
    return got


async def everything(broker, topic, partitions=1):
    """Return all that is in a topic now."""
    async with consuming(broker, topic, partitions) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        return await take(consumer, sum(ends.values()))


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = ("kafka:", "kafka:h", "kafka:h/t?g.nosuch=1", "kafka:h/t/u")

    @pytest.fixture(autouse=True)
    def broker(self, kafka, topic):
        self.kafka, self.topic = kafka, topic

    def transport(self):
        return KafkaTransport()

    @asynccontextmanager
    async def peer(self):
        async with consuming(self.kafka, self.topic) as consumer:
            rest = []

            async def receive(count):
                rest.extend(await take(consumer, count - len(rest)))
                taken, rest[:count] = rest[:count], []
                return [record.value for record in taken]

            yield Peer(f"kafka:127.0.0.1:{self.kafka.port}/{self.topic}", receive)


async def test_record_k1_k4_k9(kafka):
    """K1, K4, K9: the value is the payload; key, headers and partition are those of the socket, and none without them."""
    topic = await make_topic(kafka, 3)
    async with interface() as events:
        base = f"kafka:127.0.0.1:{kafka.port}/{topic}"
        for text, params in [
            (base, {"s": "hello"}),
            (f"{base}?key=callid&header.source=evframe", {"callid": "a@b", "n": 1}),
            (f"{base}?key=callid", {"n": 2}),
            (f"{base}?partition=2", ["x"]),
        ]:
            events.subscribe_event("E_TEST", text)
            assert (await events.raise_event_and_wait("E_TEST", params))[0].reason is None
            events.unsubscribe_event("E_TEST", text)
    plain, keyed, keyless, placed = sorted(await everything(kafka, topic, 3), key=lambda record: record.timestamp)

    assert plain.value == b'{"jsonrpc":"2.0","method":"E_TEST","params":{"s":"hello"}}'
    assert (plain.key, plain.headers) == (None, ())
    assert (keyed.key, keyed.headers) == (b"a@b", (("source", b"evframe"),))
    assert keyless.key is None
    assert placed.partition == 2


async def test_same_key_same_partition(kafka):
    """Records of a key are in one partition, in order; those without one are spread."""
    topic = await make_topic(kafka, 3)
    async with interface() as events:
        base = f"kafka:127.0.0.1:{kafka.port}/{topic}"
        events.subscribe_event("E_TEST", f"{base}?key=caller")
        for number in range(3000):
            events.raise_event("E_TEST", {"caller": number % 10, "n": number})
        await until(lambda: events.statistics[0].delivered == 3000)
        records = await everything(kafka, topic, 3)
    by_key = {}
    for record in records:
        by_key.setdefault(record.key, []).append((record.partition, json.loads(record.value)["params"]["n"]))

    assert len(by_key) == 10
    for entries in by_key.values():
        assert len({partition for partition, _ in entries}) == 1
        assert [n for _, n in entries] == sorted(n for _, n in entries)


async def test_what_cannot_be_sent(kafka, topic):
    """A payload that is too large fails alone; a partition that is not there fails the event."""
    async with interface() as events:
        base = f"kafka:127.0.0.1:{kafka.port}/{topic}"
        events.subscribe_event("E_TEST", base)
        reports = await asyncio.gather(
            *(events.raise_event_and_wait("E_TEST", ["x" * size]) for size in (10, 2_000_000, 20))
        )
        assert [report[0].reason for report in reports] == [None, "too_large", None]
        events.unsubscribe_event("E_TEST", base)
        events.subscribe_event("E_TEST", f"{base}?partition=7")
        assert (await events.raise_event_and_wait("E_TEST"))[0].reason == "unknown_partition"


async def test_subscribing_again_k2(kafka, topic):
    """K2: a socket is one subscriber however often it is subscribed, and it can leave."""
    async with interface() as events:
        text = f"kafka:127.0.0.1:{kafka.port}/{topic}"
        for _ in range(3):
            events.subscribe_event("E_TEST", text)
        await events.raise_event_and_wait("E_TEST")
        assert events.unsubscribe_event("E_TEST", text)
        assert await events.raise_event_and_wait("E_TEST") == []
    assert len(await everything(kafka, topic)) == 1


async def test_cluster_that_is_not_there_k5(kafka, topic):
    """K5: a cluster that cannot be reached, and a topic that is not there, hold up nobody."""
    async with interface(QUICK_END, connect_timeout_ms=500) as events:
        good = f"kafka:127.0.0.1:{kafka.port}/{topic}"
        for text in (good, "kafka:127.0.0.1:1/t", f"kafka:127.0.0.1:{kafka.port}/no-such-topic"):
            events.subscribe_event("E_TEST", text)
        for number in range(100):
            events.raise_event("E_TEST", [number])
        await until(lambda: events.statistics[0].delivered == 100)


async def test_broker_is_killed_k7_k8(kafka):
    """K7, K8: 50,000 events while the broker is killed and started again: none lost, each partition in order."""
    if not hasattr(kafka, "start"):
        pytest.skip("the broker that is given cannot be killed")
    count = 50_000
    topic = await make_topic(kafka)
    async with interface() as events:
        lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}")
        for number in range(count):
            events.raise_event("E_TEST", [number])
            if number == count // 2:
                await until(lambda: lease.subscriber.delivered > 1000)
                await asyncio.to_thread(kafka.stop, signal.SIGKILL)
            if number % 500 == 0:
                await asyncio.sleep(0.001)
        await asyncio.to_thread(kafka.start)
        await until(lambda: not lease.subscriber.depth, 90)
        counters = events.statistics[0]
    numbers = [json.loads(record.value)["params"][0] for record in await everything(kafka, topic)]

    assert (counters.delivered, counters.failed) == (count, 0)
    assert_in_order(numbers, count)


@pytest.mark.parametrize("options", [{"delivery_timeout_ms": 0}, {"connect_timeout_ms": 0}, {"batch_bytes": 0}])
def test_bad_options(options):
    """A value out of range is an error that names the option."""
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        Options(**options)


@pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
async def test_faults_lose_nothing(kafka, fault):
    """50,000 numbered events through connections that keep breaking: all in the topic, the first of each in order."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy")
    count = 50_000
    topic = await make_topic(kafka)
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy, interface() as events:
        lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{proxy.port}/{topic}")
        for number in range(count):
            events.raise_event("E_TEST", [number])
            if number % 10_000 == 5000:
                if fault == "cut":
                    proxy.cut_after = 100_000
                elif fault == "delay":
                    proxy.delay_s = 0.01
                elif fault == "hold":
                    proxy.hold()
                else:
                    if fault == "refuse":
                        proxy.refuse()
                    proxy.reset()
            if number % 500 == 0:
                await asyncio.sleep(0.002)
            if number % 10_000 == 7000:
                proxy.delay_s = 0.0
                proxy.release()
                if fault == "refuse":
                    await proxy.open()
        await until(lambda: not lease.subscriber.depth)
        counters = events.statistics[0]
    numbers = [json.loads(record.value)["params"][0] for record in await everything(kafka, topic)]

    assert (counters.raised, counters.delivered, counters.failed) == (count, count, 0)
    assert_in_order(numbers, count)


async def test_order_past_the_time_limit(kafka, topic):
    """What is raised while records come to their time limit follows them, and does not overtake."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy")
    number = 0
    async with (
        FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy,
        interface(delivery_timeout_ms=200) as events,
    ):
        lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{proxy.port}/{topic}")

        async def load(duration_s):
            nonlocal number
            until_s = asyncio.get_running_loop().time() + duration_s
            while asyncio.get_running_loop().time() < until_s:
                events.raise_event("E_TEST", [number])
                number += 1
                await asyncio.sleep(0.001)

        for cycle in range(8):
            await load(0.1)
            proxy.refuse()
            proxy.reset()
            await load(0.2 + 0.05 * cycle)  # ends around the time limits of what was raised in it
            await proxy.open()
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.failed) == (number, 0)
    assert_in_order([json.loads(record.value)["params"][0] for record in await everything(kafka, topic)], number)


@pytest.mark.parametrize("property_", ["", "?g.enable.idempotence=true"])
async def test_leaving_while_brokers_hang(kafka, topic, property_):
    """Leaving does not wait for brokers that say nothing, leaves no task, and sends nothing later."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy")
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy:
        before = asyncio.all_tasks()
        async with interface(QUICK_END) as events:
            lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{proxy.port}/{topic}{property_}")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            proxy.hold()
            for number in range(1, 4):
                events.raise_event("E_TEST", [number])
                await until(lambda: not lease.subscriber.queue)
            assert lease.subscriber.depth == 3
            left_at = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - left_at < 5
        await until(lambda: not {task for task in asyncio.all_tasks() - before if "aiokafka" in repr(task)})
        assert lease.subscriber.reasons == {"shutdown": 3}
        proxy.release()
    assert json.loads((await everything(kafka, topic))[0].value)["params"] == [0]


async def test_tls_and_password_k6(kafka, topic):
    """K6: records go over TLS, with a password that has marks of its own, to brokers that are trusted and to no others."""
    if not hasattr(kafka, "secure_port"):
        pytest.skip("the broker that is given has no secure listener")
    base = f"kafka:localhost:{kafka.secure_port}/{topic}?g.security.protocol=SASL_SSL&g.sasl.mechanism=PLAIN"
    trusted = f"&g.ssl.ca.location={kafka.certificate}"
    async with interface(QUICK_END, connect_timeout_ms=3000) as events:
        events.subscribe_event("E_TEST", f"{base}&g.sasl.username=u&g.sasl.password=s%3De%26cret{trusted}")
        assert (await events.raise_event_and_wait("E_TEST", ["secret"], timeout_s=30))[0].delivered
    for refused in (
        f"&g.sasl.username=u&g.sasl.password=wrong{trusted}",
        "&g.sasl.username=u&g.sasl.password=s%3De%26cret",
    ):
        async with interface(QUICK_END, connect_timeout_ms=1000) as events:
            lease = events.subscribe_event("E_TEST", f"{base}{refused}")
            events.raise_event("E_TEST", ["not for everybody"])
            await until(lambda lease=lease: lease.subscriber.attempts)

    assert [json.loads(record.value)["params"] for record in await everything(kafka, topic)] == [["secret"]]
