"""Topics, keys and headers with parameters of the event, on a real Kafka."""

import asyncio
import json
import uuid

import pytest
from brokers.kafka import Kafka
from brokers.proxy import FaultProxy
from brokers.topics import consuming, delete_topic, make_topic, make_topics, records_in, take
from evframe_kafka import KafkaTransport, Options, cluster, parse

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

pytestmark = pytest.mark.timeout(120)


def interface(config=None, **options):
    transport = KafkaTransport(Options(**options))
    events = evframe.EventInterface(config, plugins={"kafka": transport})
    events.register_event("E")
    return events


@pytest.fixture
def prefix():
    """Return what the topics of a test begin with."""
    return f"p-{uuid.uuid4().hex[:8]}."


async def numbers(broker, topic):
    """Return the parameter n of each event in a topic of one partition."""
    return [json.loads(record.value)["params"]["n"] for record in await records_in(broker, topic)]


async def raised(kafka, socket, *batch, **options):
    """Raise events at once; return the counters of the subscriber when each has its outcome."""
    async with interface(**options) as events:
        events.subscribe_event("E", f"kafka:127.0.0.1:{kafka.port}/{socket}")
        for params in batch:
            events.raise_event("E", params)
        await until(lambda: not events.statistics[0].depth)
        return events.statistics[0]


async def test_each_event_is_in_the_topic_that_it_names(kafka, prefix):
    """The records of a batch are in the topics of their parameters, each in order, with their own keys and headers."""
    await make_topics(kafka, [f"{prefix}a", f"{prefix}b"])
    batch = [{"c": "ab"[n % 2], "n": n} for n in range(1000)]
    socket = f"{prefix}{{c}}?key={{c}}-{{n}}&header.x=no {{n}}&header.s=same"
    counters = await raised(kafka, socket, *batch)
    assert (counters.delivered, counters.failed) == (1000, 0)
    for first, name in enumerate("ab"):
        records = await records_in(kafka, prefix + name)
        assert [(record.key, record.headers) for record in records] == [
            (f"{name}-{n}".encode(), (("x", f"no {n}".encode()), ("s", b"same"))) for n in range(first, 1000, 2)
        ]


async def test_keys_and_headers_of_one_topic(kafka):
    """With one topic, an event that lacks a parameter of its key or header fails alone, and the order stays."""
    topic = await make_topic(kafka)
    batch = [{"c": "x", "n": n} for n in range(100)]
    batch[10], batch[20], batch[30] = {"n": 10}, {"c": [1], "n": 20}, {"c": b"\xff", "n": 10**5000}
    counters = await raised(kafka, f"{topic}?key=n&header.{{n}}=a{{{{b{{c}}", *batch)
    assert (counters.delivered, counters.reasons) == (98, {"missing_parameter": 1, "unfit_parameter": 1})
    records = await records_in(kafka, topic)
    own = records.pop(28)
    assert (own.key, own.headers) == (b"1" + b"0" * 5000, (("{n}", b"a{b\xff"),))
    assert [record.key for record in records] == [b"%d" % n for n in range(100) if n not in {10, 20, 30}]
    assert {record.headers for record in records} == {(("{n}", b"a{bx"),)}


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "missing_parameter"),
        ({"c": None}, "missing_parameter"),
        ({"c": [1]}, "unfit_parameter"),
        ({"c": ""}, "unfit_parameter"),
        ({"c": "."}, "unfit_parameter"),
        ({"c": ".."}, "unfit_parameter"),
        ({"c": "a/b"}, "unfit_parameter"),
        ({"c": "sip:a@b"}, "unfit_parameter"),
        ({"c": "a\n"}, "unfit_parameter"),
        ({"c": "é"}, "unfit_parameter"),
        ({"c": b"\xff"}, "unfit_parameter"),
        ({"c": "x" * 250}, "unfit_parameter"),
        ({"c": "x" * 249}, "unknown_topic"),
        ({"c": "no-such-topic"}, "unknown_topic"),
    ],
)
async def test_an_event_without_a_topic_fails_alone(kafka, prefix, params, reason):
    """An event whose topic's name is none, or whose topic does not exist, fails with its reason; the others arrive."""
    topic = await make_topic(kafka)
    counters = await raised(kafka, "{c}", {"c": topic, "n": 0}, params, {"c": topic, "n": 1}, topic_timeout_ms=100)
    assert (counters.delivered, counters.reasons) == (2, {reason: 1})
    assert await numbers(kafka, topic) == [0, 1]


async def test_events_of_other_topics_do_not_wait_for_one_that_is_created(kafka, prefix):
    """While an event waits for its topic those of other topics arrive; once it exists, its own do, in their order."""
    await make_topics(kafka, [f"{prefix}a"])
    async with interface(topic_timeout_ms=100_000) as events, consuming(kafka, f"{prefix}a") as consumer:
        lease = events.subscribe_event("E", f"kafka:127.0.0.1:{kafka.port}/{prefix}{{c}}")
        for n in range(3):
            events.raise_event("E", {"c": "ab"[n % 2], "n": n})
        await take(consumer, 2)
        for n in range(3, 6):
            events.raise_event("E", {"c": "ab"[n % 2], "n": n})
        await take(consumer, 1)
        assert (lease.subscriber.depth, lease.subscriber.away) == (6, None)
        await make_topics(kafka, [f"{prefix}b"])
        await until(lambda: lease.subscriber.delivered == 6)
    assert await numbers(kafka, f"{prefix}b") == [1, 3, 5]
    assert await numbers(kafka, f"{prefix}a") == [0, 2, 4]


async def test_a_topic_is_waited_for_once(kafka, prefix, monkeypatch):
    """Events of a topic that has not come to be fail after one look each; once it exists, they arrive."""
    looks = 0
    reasons_of = cluster.Cluster.reasons_of

    def count(self, topics):
        nonlocal looks
        looks += 1
        return reasons_of(self, topics)

    monkeypatch.setattr(cluster.Cluster, "reasons_of", count)
    async with interface(topic_timeout_ms=200) as events:
        events.subscribe_event("E", f"kafka:127.0.0.1:{kafka.port}/{prefix}{{c}}")
        assert await reason_of(events, {"c": "a"}) == "unknown_topic"
        assert looks > 1
        for _ in range(3):
            looks = 0
            assert (await reason_of(events, {"c": "a"}), looks) == ("unknown_topic", 1)
        await make_topics(kafka, [f"{prefix}a"])
        assert await reason_of(events, {"c": "a"}) is None


async def reason_of(events, params):
    return (await events.raise_event_and_wait("E", params))[0].reason


async def test_the_number_of_open_topics_is_bounded(kafka, prefix):
    """The producer knows so many topics at once as the option says; all events arrive, in the order of each topic."""
    names = [f"{prefix}{n}" for n in range(20)]
    await make_topics(kafka, names)
    plain = await make_topic(kafka)
    transport = KafkaTransport(Options(max_open_topics=3, topic_timeout_ms=0))
    events = evframe.EventInterface(plugins={"kafka": transport})
    events.register_event("E")
    async with events:
        for topic in (plain, f"{prefix}{{c}}"):
            events.subscribe_event("E", f"kafka:127.0.0.1:{kafka.port}/{topic}")
        for n in range(600):
            events.raise_event("E", {"c": n * 7 % 20, "n": n})
            if n % 50 == 0:
                await asyncio.sleep(0.01)
        for n in range(8000):
            events.raise_event("E", {"c": f"none-{n}", "n": n})
        await until(lambda: not any(each.depth for each in events.statistics))
        assert [each.delivered for each in events.statistics[:2]] == [8600, 600]
        assert events.statistics[1].reasons == {"unknown_topic": 8000}
        (cluster_,) = transport._clusters.values()
        client = cluster_._producing.producer.client
        known = client.cluster.topics()
        assert plain in known
        assert len(known) <= 4
        assert client._topics == known
    for number, name in enumerate(names):
        assert await numbers(kafka, name) == [n for n in range(600) if n * 7 % 20 == number]


@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
async def test_faults_on_the_way_lose_nothing(kafka, prefix, idempotent, monkeypatch):
    """Through a way that breaks each event arrives, the first of each in the order of its topic."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy")
    monkeypatch.setattr(cluster, "_MOST_TOPICS", 10)  # an idempotent producer is exchanged on the way, too
    names = [f"{prefix}{n}" for n in range(6)]
    await make_topics(kafka, names)
    options = {"enable_idempotence": idempotent, "max_open_topics": 4, "delivery_timeout_ms": 2000}
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy, interface(**options) as events:
        lease = events.subscribe_event("E", f"kafka:127.0.0.1:{proxy.port}/{prefix}{{c}}")
        for n in range(6000):
            events.raise_event("E", {"c": n % 6, "n": n})
            if n % 1000 == 500:
                proxy.refuse()
                proxy.reset()
                await asyncio.sleep(0.02)
                await proxy.open()
            elif n % 10 == 0:
                await asyncio.sleep(0.001)
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.failed) == (6000, 0)
    for number, name in enumerate(names):
        found = await numbers(kafka, name)
        assert list(dict.fromkeys(found)) == list(range(number, 6000, 6))


@pytest.fixture
def creating(kafka):
    """Return a Kafka that creates topics."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given does not say whether it creates topics")
    broker = Kafka(creates_topics=True)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
        broker.remove()


async def test_topics_that_brokers_create(creating):
    """Where brokers create topics each value has its own; one that they cannot create fails alone."""
    batch = [{"c": c, "n": n} for n, c in enumerate(("a.b", "a_b", "c", "d", "c", "a.b"))]
    first = await raised(creating, "{c}", batch[0], topic_timeout_ms=30_000)
    counters = await raised(creating, "{c}", *batch[1:], topic_timeout_ms=5_000)
    assert (first.delivered, counters.delivered, counters.reasons) == (1, 4, {"unknown_topic": 1})
    assert [await numbers(creating, topic) for topic in ("a.b", "c", "d")] == [[0, 5], [2, 4], [3]]
    counters = await raised(creating, "{c}", {"c": "__consumer_offsets"}, {"c": "d", "n": 6}, topic_timeout_ms=30_000)
    assert (counters.delivered, counters.reasons) == (1, {"invalid_topic": 1})


async def test_a_topic_that_is_deleted_fails_alone(kafka, prefix):
    """The events of a topic that was deleted fail after the time limit of a record; others arrive."""
    await make_topics(kafka, [f"{prefix}a", f"{prefix}b"])
    async with interface(topic_timeout_ms=100, delivery_timeout_ms=500) as events:
        lease = events.subscribe_event("E", f"kafka:127.0.0.1:{kafka.port}/{prefix}{{c}}")
        assert [await reason_of(events, {"c": c, "n": 0}) for c in "ab"] == [None, None]
        await delete_topic(kafka, f"{prefix}a")
        for n in range(1, 7):
            events.raise_event("E", {"c": "ab"[n % 2], "n": n})
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.reasons) == (5, {"unknown_topic": 3})
    assert await numbers(kafka, f"{prefix}b") == [0, 1, 3, 5]


async def test_refused_records_of_one_topic(kafka, prefix):
    """A record that one of the topics does not take fails alone, and one that is too large for any."""
    await make_topics(kafka, [f"{prefix}a"])
    await make_topics(kafka, [f"{prefix}b"], **{"max.message.bytes": "2000"})
    sizes = {5: 3000, 6: 3000, 8: 2_000_000}
    batch = [{"c": "ab"[n % 2], "n": n, "p": "x" * sizes.get(n, 0)} for n in range(100)]
    counters = await raised(kafka, f"{prefix}{{c}}", *batch)
    assert (counters.delivered, counters.reasons) == (98, {"too_large": 2})
    assert await numbers(kafka, f"{prefix}a") == [n for n in range(0, 100, 2) if n != 8]
    assert await numbers(kafka, f"{prefix}b") == [n for n in range(1, 100, 2) if n != 5]


async def test_headers_that_make_a_record_too_large(kafka, prefix):
    """A record that is too large by its headers fails alone, as one that is too large by its value."""
    topic = await make_topic(kafka)
    batch = [{"n": n, "p": "x" * (400_000 if n == 3 else 10)} for n in range(6)]
    counters = await raised(kafka, f"{topic}?key={{p}}&header.a={{p}}", *batch)
    assert (counters.delivered, counters.reasons) == (5, {"too_large": 1})
    assert await numbers(kafka, topic) == [0, 1, 2, 4, 5]


async def test_leaving_while_events_wait_for_their_topic(kafka, prefix):
    """At the end of the interface the events that wait for a topic are counted, and what others acknowledged is too."""
    await make_topics(kafka, [f"{prefix}a"])
    config = Config(core=CoreOptions(drain_timeout_s=1.0))
    before = asyncio.all_tasks()
    async with interface(config, topic_timeout_ms=1_000_000) as events:
        lease = events.subscribe_event("E", f"kafka:127.0.0.1:{kafka.port}/{prefix}{{c}}")
        async with consuming(kafka, f"{prefix}a") as consumer:
            for c in "abab":
                events.raise_event("E", {"c": c})
            await take(consumer, 2)
    assert (lease.subscriber.delivered, lease.subscriber.reasons) == (2, {"shutdown": 2})
    await until(lambda: not {task for task in asyncio.all_tasks() - before if "kafka" in repr(task)})


async def test_events_wait_while_no_broker_can_be_reached(prefix):
    """While no broker is reached events with a topic wait; those that name none fail."""
    config = Config(core=CoreOptions(drain_timeout_s=0.1))
    async with interface(config, connect_timeout_ms=500) as events:
        lease = events.subscribe_event("E", f"kafka:127.0.0.1:1/{prefix}{{c}}")
        events.raise_event("E", {"c": "a"})
        events.raise_event("E", {})
        await until(lambda: lease.subscriber.away == "refused" and lease.subscriber.failed)
        assert (lease.subscriber.depth, lease.subscriber.reasons) == (1, {"missing_parameter": 1})


async def test_a_probe_asks_for_no_topic(kafka, prefix):
    """The probe of a socket with a parameter in its topic finds the brokers, and no topic to be missing."""
    async with interface() as events:
        lease = events.subscribe_event("E", f"kafka:127.0.0.1:{kafka.port}/{prefix}{{c}}", configured=True)
        await until(lambda: events.state(lease) == "connected")


@pytest.mark.parametrize(
    ("rest", "parameters"),
    [
        ("h/calls.{c}", ("c",)),
        ("h/{a}{2}?key={k}-{a}&header.x={b c}", ("a", "2", "k", "a", "b c")),
        ("h/t?key=a&header.x=a{{b", ()),
        ("h/t?key=a&header.x=%7Ba%7D", ()),
        ("h/t?key=%7Ba%7D{b}", ("b",)),
        ("h/t?key=a%7Db&header.x=a%7Db", ()),
    ],
)
def test_canonical_texts_keep_the_template(rest, parameters):
    """The text of a socket has its parameters as they were given, and is the same when it is parsed again."""
    socket = parse(rest)
    assert socket.parameters == parameters
    assert socket.canonical == f"kafka:{rest}".replace("{b c}", "{b%20c}").replace("%7Ba%7D", "{{a}")
    assert parse(socket.canonical.removeprefix("kafka:")).canonical == socket.canonical


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("h/calls.{", "expected a parameter in braces"),
        ("h/{}", "expected a parameter in braces"),
        ("h/t?key={", "expected a parameter in braces"),
        ("h/t?header.x={", "expected a parameter in braces"),
        ("h/a{{b", "expected a topic of at most 249 letters"),
        ("h/a b{c}", "expected a topic of at most 249 letters"),
        ("h/{c}}", "expected a topic of at most 249 letters"),
        ("h/" + "a" * 250 + "{c}", "expected a topic of at most 249 letters"),
        ("{h}/t", "expected brokers as"),
    ],
)
def test_what_makes_no_topic(rest, problem):
    """Braces that are no parameter, and text around them that no topic can have, are refused."""
    with pytest.raises(ValueError, match=problem):
        parse(rest)


def test_parameters_are_compared_with_the_declaration():
    """A parameter that a declared event lacks is an error of the subscription, which names those that it has."""
    events = interface()
    events.register_event("E_CALL", {"caller": str, "n": int})
    for good in ("{caller}.{2}", "t?key={n}", "t?header.x={1}"):
        events.subscribe_event("E_CALL", f"kafka:h/{good}")
    for bad in ("{callee}", "t?key={3}", "t?header.x={0}"):
        with pytest.raises(evframe.SocketError, match="of the event 'E_CALL', which are caller, n, got"):
            events.subscribe_event("E_CALL", f"kafka:h/{bad}")
