"""The transport against a real Kafka."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager

import pytest
from brokers import certificates
from brokers.connections import connections_to
from brokers.proxy import FaultProxy
from brokers.topics import consuming, make_topic, records_in, take
from evframe_kafka import KafkaTransport, Options, parse
from evframe_kafka.settings import settings_of
from numbered import assert_exactly, assert_in_order

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import Peer, TransportContract, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))
pytestmark = pytest.mark.timeout(120)


def interface(config=None, **options):
    events = evframe.EventInterface(config, plugins={"kafka": KafkaTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


@pytest.fixture
async def topic(kafka):
    """Return a topic of the test's own, with one partition."""
    return await make_topic(kafka)


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = ("kafka:", "kafka:h", "kafka:h/t?g.nosuch=1", "kafka:h/t/u")
    lost_sockets = ("kafka:127.0.0.1:1/t",)

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
    plain, keyed, keyless, placed = sorted(await records_in(kafka, topic, 3), key=lambda record: record.timestamp)

    assert plain.value == b'{"jsonrpc":"2.0","method":"E_TEST","params":{"s":"hello"}}'
    assert (plain.key, plain.headers) == (None, ())
    assert (keyed.key, keyed.headers) == (b"a@b", (("source", b"evframe"),))
    assert keyless.key is None
    assert placed.partition == 2


async def test_a_key_may_be_any_number(kafka):
    """An integer with more digits than Python writes is a key like any other, and takes no other record with it."""
    topic = await make_topic(kafka, 1)
    numbers = [1, 10**5000, [10**5000]]
    async with interface() as events:
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}?key=n")
        for number in numbers:
            events.raise_event("E_TEST", {"n": number})
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].delivered == 3
    digits = b"1" + b"0" * 5000
    assert [record.key for record in await records_in(kafka, topic, 1)] == [b"1", digits, b"[" + digits + b"]"]


async def test_same_key_same_partition(kafka):
    """Records of a key are in one partition, in order; those without one are spread."""
    topic = await make_topic(kafka, 3)
    async with interface() as events:
        base = f"kafka:127.0.0.1:{kafka.port}/{topic}"
        events.subscribe_event("E_TEST", f"{base}?key=caller")
        for number in range(3000):
            events.raise_event("E_TEST", {"caller": number % 10, "n": number})
        await until(lambda: events.statistics[0].delivered == 3000)
        records = await records_in(kafka, topic, 3)
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
    assert len(await records_in(kafka, topic)) == 1


async def test_cluster_that_is_not_there_k5(kafka, topic):
    """K5: a cluster that cannot be reached, and a topic that is not there, delay no other subscriber."""
    async with interface(QUICK_END, connect_timeout_ms=500) as events:
        good = f"kafka:127.0.0.1:{kafka.port}/{topic}"
        for text in (good, "kafka:127.0.0.1:1/t", f"kafka:127.0.0.1:{kafka.port}/no-such-topic"):
            events.subscribe_event("E_TEST", text)
        for number in range(100):
            events.raise_event("E_TEST", [number])
        await until(lambda: events.statistics[0].delivered == 100)


@pytest.mark.parametrize("options", [{"delivery_timeout_ms": 0}, {"connect_timeout_ms": 0}, {"batch_bytes": 0}])
def test_bad_options(options):
    """A value out of range is an error that names the option."""
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        Options(**options)


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
    assert_in_order([json.loads(record.value)["params"][0] for record in await records_in(kafka, topic)], number)


@pytest.mark.parametrize("property_", ["", "?g.enable.idempotence=true"])
async def test_leaving_while_brokers_hang(kafka, topic, property_):
    """Leaving does not wait for brokers that say nothing, leaves no task, and sends nothing later."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy")
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy:
        before = asyncio.all_tasks()
        # Waiting for an acknowledgement would take until the end of the test.
        limit = f"{property_ or '?'}&t.message.timeout.ms=600000".replace("?&", "?")
        async with interface(QUICK_END) as events:
            lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{proxy.port}/{topic}{limit}")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            proxy.hold()
            for number in range(1, 4):
                events.raise_event("E_TEST", [number])
                await until(lambda: not lease.subscriber.queue)
            assert lease.subscriber.depth == 3
        await until(lambda: not {task for task in asyncio.all_tasks() - before if "aiokafka" in repr(task)})
        assert lease.subscriber.reasons == {"shutdown": 3}
        proxy.release()
    assert json.loads((await records_in(kafka, topic))[0].value)["params"] == [0]


async def test_records_go_in_batches(kafka, topic):
    """What is raised while the brokers are busy goes as one batch of records, not each event by itself."""
    handed_over = []

    class Watching:
        @evframe.hookimpl(wrapper=True)
        def deliver(self, socket, batch):
            handed_over.append(len(batch.events))
            return (yield)

    events = evframe.EventInterface(plugins={"kafka": KafkaTransport(), "watching": Watching()})
    events.register_event("E_TEST")
    async with events:
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}")
        await events.raise_event_and_wait("E_TEST", [0])
        for number in range(1, 3000):
            events.raise_event("E_TEST", [number])
            await asyncio.sleep(0)
        await until(lambda: events.statistics[0].delivered == 3000)
    assert len(handed_over) < 1500
    assert_exactly([json.loads(record.value)["params"][0] for record in await records_in(kafka, topic)], 3000)


@pytest.mark.parametrize(
    "property_", ["t.acks=0", "t.acks=1", "t.request.required.acks=-1", "g.enable.idempotence=true"]
)
async def test_acks(kafka, topic, property_):
    """Records are sent with as many acknowledgements as the socket says."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}?{property_}")
        for number in range(100):
            assert (await events.raise_event_and_wait("E_TEST", [number]))[0].delivered
        async with consuming(kafka, topic) as consumer:  # without acknowledgements the last ones are still on their way
            records = await take(consumer, 100)
    assert_exactly([json.loads(record.value)["params"][0] for record in records], 100)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "none", "snappy", "zstd"])
async def test_compression(kafka, topic, codec):
    """Every codec that is known can be used."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}?g.compression.type={codec}")
        assert (await events.raise_event_and_wait("E_TEST", ["x" * 1000]))[0].delivered
    (record,) = await records_in(kafka, topic)
    assert record.value == b'{"jsonrpc":"2.0","method":"E_TEST","params":["' + b"x" * 1000 + b'"]}'


async def test_most_bytes_of_a_record(kafka, topic):
    """The property `message.max.bytes` bounds a record, and every batch of records."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}?g.message.max.bytes=2000")
        reports = await asyncio.gather(
            *(events.raise_event_and_wait("E_TEST", ["x" * size]) for size in (1500, 2500, 1500, 10))
        )
    assert [report[0].reason for report in reports] == [None, "too_large", None, None]
    assert len(await records_in(kafka, topic)) == 3


async def test_time_limit_k7(kafka, topic):
    """K7: a record that no broker acknowledges comes back at its time limit, which is ten seconds unless it is set."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy")
    limited = {"": 10_000, "?t.message.timeout.ms=300": 300}
    assert {of: settings_of(parse(f"h/t{of}"), Options())["request_timeout_ms"] for of in limited} == limited
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy, interface(QUICK_END) as events:
        text = f"kafka:127.0.0.1:{proxy.port}/{topic}?t.message.timeout.ms=300"
        lease = events.subscribe_event("E_TEST", text)
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        proxy.hold()
        events.raise_event("E_TEST", [1])
        begin = asyncio.get_running_loop().time()
        await until(lambda: lease.subscriber.attempts)
        assert asyncio.get_running_loop().time() - begin >= 0.3
        proxy.release()
        await until(lambda: lease.subscriber.delivered == 2)


@pytest.fixture
async def secure(kafka, topic):
    """Return the socket of a topic at the listener with TLS, without what is needed to get in."""
    if not hasattr(kafka, "secure_port"):
        pytest.skip("the broker that is given has no secure listener")
    yield f"kafka:localhost:{kafka.secure_port}/{topic}?g.security.protocol=SASL_SSL"
    # Connections with TLS end when both sides have said so; a loop of uvloop that is closed before waits for ever.
    await until(lambda: not connections_to(kafka.secure_port))


@pytest.mark.parametrize(
    "mechanism",
    [
        "PLAIN&g.sasl.username=u&g.sasl.password=s%3De%26cret",
        "SCRAM-SHA-256&g.sasl.username=scram&g.sasl.password=sesame",
        "scram-sha-512&g.sasl.username=scram&g.sasl.password=sesame",
    ],
)
async def test_tls_and_password_k6(kafka, topic, secure, mechanism):
    """K6: records go over TLS, with a password that has special marks, to brokers that are trusted and to no others."""
    trusted = f"&g.ssl.ca.location={kafka.certificate}"
    text = f"{secure}&g.sasl.mechanism={mechanism}"
    async with interface(QUICK_END, connect_timeout_ms=3000) as events:
        events.subscribe_event("E_TEST", text + trusted)
        assert (await events.raise_event_and_wait("E_TEST", ["secret"], timeout_s=30))[0].delivered
        assert "sesame" not in str(events.statistics)
    for refused in (f"{text}{trusted}&g.sasl.password=wrong", text):
        await assert_refused(refused)

    assert [json.loads(record.value)["params"] for record in await records_in(kafka, topic)] == [["secret"]]


@pytest.mark.parametrize("password", ["s%3De%26cret", "wrong-cret"])
async def test_no_log_has_a_password_k6(kafka, topic, secure, caplog, password):
    """K6: whatever the library logs, at DEBUG too, has no password in it, be it right or wrong."""
    text = f"{secure}&g.sasl.mechanism=PLAIN&g.sasl.username=u&g.sasl.password={password}"
    with caplog.at_level(logging.DEBUG):
        async with interface(QUICK_END, connect_timeout_ms=3000) as events:
            lease = events.subscribe_event("E_TEST", f"{text}&g.ssl.ca.location={kafka.certificate}")
            events.raise_event("E_TEST")
            await until(lambda: lease.subscriber.attempts or not lease.subscriber.depth)
    assert "SaslHandShake" in caplog.text
    assert "cret" not in caplog.text


async def test_our_own_certificate(kafka, secure, tmp_path):
    """The certificate of a socket is shown to the brokers, and one that they do not trust is refused."""
    text = f"{secure}&g.sasl.mechanism=PLAIN&g.sasl.username=u&g.sasl.password=s%3De%26cret"
    text += f"&g.ssl.ca.location={kafka.certificate}"
    async with interface(QUICK_END, connect_timeout_ms=3000) as events:
        events.subscribe_event(
            "E_TEST", f"{text}&g.ssl.certificate.location={kafka.certificate}&g.ssl.key.location={kafka.key}"
        )
        assert (await events.raise_event_and_wait("E_TEST", timeout_s=30))[0].delivered
    other = certificates.make(tmp_path, subject="somebody")
    await assert_refused(f"{text}&g.ssl.certificate.location={other}&g.ssl.key.location={other}")


async def assert_refused(text):
    """Fail unless a subscriber does not get in, and its events wait."""
    async with interface(QUICK_END, connect_timeout_ms=1000) as events:
        lease = events.subscribe_event("E_TEST", text)
        events.raise_event("E_TEST", ["not for everybody"])
        await until(lambda: lease.subscriber.attempts)
        assert lease.subscriber.delivered == lease.subscriber.failed == 0
