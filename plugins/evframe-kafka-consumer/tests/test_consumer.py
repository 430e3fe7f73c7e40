"""The plugin against a real Kafka."""

import asyncio
import json
import signal
import sys
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from brokers.kafka_connections import FIRST_REQUEST, open_connections
from brokers.proxy import FaultProxy
from brokers.topics import make_topic
from evframe_kafka_consumer import ConnectionOptions, KafkaConsumer, Options
from numbered import assert_all, assert_exactly, assert_in_order
from token_provider import unsigned_token

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import MemoryTransport, Recorder, SourceContract, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.2))
QUICK = {"heartbeat.interval.ms": 200}  # to be notified soon of a rebalance
NOTIFICATION = '{"jsonrpc":"2.0","method":"E_N","params":{"n":%d}}'
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def topic(kafka):
    """Return a topic of the test's own, with one partition."""
    return await make_topic(kafka)


@pytest.fixture
async def producer(kafka):
    """Return a producer of the test's own."""
    async with AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{kafka.port}", acks="all") as producer:
        yield producer


async def publish(producer, topic, *bodies, key=None, partition=None):
    sent = [
        await producer.send(
            topic, body if isinstance(body, bytes | None) else body.encode(), key=key, partition=partition
        )
        for body in bodies
    ]
    await asyncio.gather(*sent)


async def publish_numbers(producer, topic, numbers, partition=None):
    await publish(producer, topic, *(NOTIFICATION % number for number in numbers), partition=partition)


async def committed(broker, topic, group, partition=0):
    """Return what a group has committed."""
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}", group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition)])
        return await consumer.committed(TopicPartition(topic, partition))
    finally:
        await consumer.stop()


async def everything(broker, topic):
    """Return the records that are in a topic with one partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}", auto_offset_reset="earliest")
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        count = (await consumer.end_offsets([place]))[place]
        got = []
        async with asyncio.timeout(30):
            while len(got) < count:
                got += (await consumer.getmany(timeout_ms=200)).get(place, [])
        return got
    finally:
        await consumer.stop()


def plugin(broker, *topics, **options):
    brokers = f"127.0.0.1:{broker.port}"
    connection = ConnectionOptions(
        **{"topics": list(topics), "name": "c", "brokers": brokers, "group_id": topics[0] if topics else "g"} | options
    )
    return KafkaConsumer(Options(connections=[connection]))


class Consuming:
    """An interface that consumes a topic, with the numbers of `E_N` at its subscriber in memory."""

    def __init__(self, broker, *topics, config=None, **options):
        self.memory = MemoryTransport()
        source = plugin(broker, *topics, **{"commit_interval_ms": 50, **options})
        self.events = evframe.EventInterface(config, plugins={"memory": self.memory, "kafka-consumer": source})
        self.events.register_event("E_N")
        self.events.subscribe_event("E_N", "memory:a")

    @property
    def numbers(self):
        return [event.get("n") for event in self.memory.delivered.get("a", [])]

    @property
    def listed(self):
        return self.events.commands.find("kafka_consumer:list").run({})["Connections"][0]

    async def __aenter__(self):
        await self.events.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.events.__aexit__(None, None, None)


def refuse(batch):
    raise evframe.Rejected("refused")


class TestContract(SourceContract):
    """What every source does."""

    name = "kafka-consumer"

    @pytest.fixture(autouse=True)
    def given(self, kafka, topic, producer):
        self.kafka, self.topic, self.producer = kafka, topic, producer

    def source(self):
        return plugin(self.kafka, self.topic, event="E_BODY")

    async def provoke(self, recorder):
        await publish(self.producer, self.topic, "hello")


async def test_records_become_events(kafka, topic, producer):
    """A notification is the event that it names; any other value is a parameter, byte by byte, and none is empty."""
    async with Recorder({"kafka-consumer": plugin(kafka, topic, event="E_BODY")}) as recorder:
        recorder.register_event("E_N")
        await publish(producer, topic, "plain", b"\xff\x00", "", NOTIFICATION % 7, "x" * 300_000)
        await publish(producer, topic, "keyed", None, key=b"k\xff")
        got = await recorder.wait_for(7, 30)

    assert sorted(got, key=str) == sorted(
        [
            ("E_BODY", {"body": "plain", "topic": topic}),
            ("E_BODY", {"body": "\udcff\x00", "topic": topic}),
            ("E_BODY", {"body": "", "topic": topic}),
            ("E_N", {"n": 7}),
            ("E_BODY", {"body": "x" * 300_000, "topic": topic}),
            ("E_BODY", {"body": "keyed", "topic": topic, "key": "k\udcff"}),
            ("E_BODY", {"body": "", "topic": topic, "key": "k\udcff"}),
        ],
        key=str,
    )


async def test_order_and_commits(kafka, topic, producer):
    """The records of a partition are raised in order, and the group continues where it was."""
    await publish_numbers(producer, topic, range(1000))
    async with Consuming(kafka, topic, max_in_flight=50) as consuming:
        await until(lambda: len(consuming.numbers) == 1000)
        assert_exactly(consuming.numbers, 1000)
        assert consuming.listed == {
            "name": "c",
            "brokers": f"127.0.0.1:{kafka.port}",
            "group": topic,
            "state": "consuming",
            "partitions": [f"{topic}/0"],
            "received": 1000,
            "raised": 1000,
            "refused": {},
            "waiting": 0,
            "retried": 0,
            "dead_letters": 0,
            "dead_letters_refused": {},
        }
    assert await committed(kafka, topic, topic) == 1000
    await publish_numbers(producer, topic, range(1000, 1010))
    async with Consuming(kafka, topic) as again:
        await until(lambda: again.numbers == list(range(1000, 1010)))


async def test_large_records_are_prepared_beside_the_loop(kafka, topic, producer):
    """Large records with hostile values arrive in order among small ones, retried ones too; the loop reads none."""
    nested = "[" * 100 + "]" * 100
    large = NOTIFICATION.replace("%d}", '%d,"v":[' + ",".join([nested] * 1000) + "]}")
    on_the_loop, came = set(), []

    def watch(frame, kind, _):
        if kind == "call" and frame.f_code.co_name == "read_notification":
            on_the_loop.add(len(frame.f_locals[frame.f_code.co_varnames[0]]))

    def refuse_once(batch):
        for index, event in enumerate(batch.events):
            if event["n"] in {1, 2}.difference(came):
                batch.fail(index, "refused")
            came.append(event["n"])
        return True

    # A member that its group gives up, because this machine is busy, would get records again.
    options = {"on_failure": "retry", "retry_delay_ms": 50, "connect_timeout_ms": 60_000}
    async with Consuming(kafka, topic, event=None, **options) as consuming:
        consuming.memory.when("a", refuse_once)
        sys.setprofile(watch)
        try:
            for number in range(0, 9, 3):
                await publish(producer, topic, NOTIFICATION % number, large % (number + 1), b" " * 10_000)
                await publish(producer, topic, NOTIFICATION % (number + 2))
            await until(lambda: len(came) == 11 and not consuming.listed["waiting"])
        finally:
            sys.setprofile(None)
        assert list(dict.fromkeys(came)) == list(range(9))
        assert consuming.listed["refused"] == {"no_event": 3}
        assert consuming.listed["retried"] == 2
    assert on_the_loop
    assert max(on_the_loop) < 1000
    assert await committed(kafka, topic, topic) == 12


async def test_committed_with_the_outcome(kafka, topic, producer):
    """What has no outcome is not committed, nor what comes after it; `max_in_flight` bounds how much that is."""
    gate = asyncio.Event()
    await publish_numbers(producer, topic, range(100))

    async def slow(batch):
        if any(event["n"] == 5 for event in batch.events):
            await gate.wait()

    async with Consuming(kafka, topic, max_in_flight=20) as consuming:
        consuming.memory.when("slow", slow)
        consuming.events.subscribe_event("E_N", "memory:slow")
        await until(lambda: consuming.listed["waiting"] > 10)
        await asyncio.sleep(0.3)  # time for a commit, and for more records, which do not come
        assert consuming.listed["waiting"] <= 20
        assert consuming.listed["received"] <= 25
        assert (await committed(kafka, topic, topic) or 0) <= 5
        gate.set()
        await until(lambda: consuming.listed["received"] == 100 and not consuming.listed["waiting"])
    assert await committed(kafka, topic, topic) == 100


async def test_committed_at_once(kafka, topic, producer):
    """By option a record is done once its event is raised, whatever its outcome."""
    await publish_numbers(producer, topic, range(50))
    async with Consuming(kafka, topic, config=QUICK_END, max_in_flight=10, ack="at_once") as consuming:
        consuming.memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
        await until(lambda: consuming.listed["received"] == 50)
    assert await committed(kafka, topic, topic) == 50


async def test_shutdown_in_the_middle(kafka, topic, producer):
    """What has no outcome when the interface is left comes again, with what comes after it."""
    await publish_numbers(producer, topic, range(100))

    def until_37(batch):
        for index, event in enumerate(batch.events):
            if event["n"] < 37:
                batch.confirm(index)
        raise evframe.Unavailable("away")

    async with Consuming(kafka, topic, config=QUICK_END) as consuming:
        consuming.memory.when("a", until_37)
        await until(lambda: consuming.listed["received"] == 100)
        await until(lambda: consuming.listed["waiting"] == 100 - 37)
    assert await committed(kafka, topic, topic) == 37
    async with Consuming(kafka, topic) as again:
        await until(lambda: again.numbers == list(range(37, 100)))


async def test_delivered_while_the_interface_is_left(kafka, topic, producer):
    """An event that is delivered within the drain time is committed, and does not come again."""
    gate = asyncio.Event()

    def later(batch):
        asyncio.get_running_loop().call_later(0.1, gate.set)
        return gate.wait()

    async with Consuming(kafka, topic) as consuming:
        consuming.memory.when("a", later)
        await publish_numbers(producer, topic, range(50))
        await until(lambda: consuming.listed["received"] == 50)
    assert await committed(kafka, topic, topic) == 50


class TestWhatBecomesOfARecord:
    """The options for what cannot be delivered."""

    async def test_failure_is_done(self, kafka, topic, producer):
        """By default a delivery that failed for good is an outcome like any other."""
        await publish_numbers(producer, topic, range(3))
        async with Consuming(kafka, topic) as consuming:
            consuming.memory.when("a", refuse)
            await until(lambda: consuming.listed["received"] == 3)
        assert await committed(kafka, topic, topic) == 3

    async def test_failure_is_tried_again(self, kafka, topic, producer):
        """By option the event is raised again, after a wait, until it is delivered; others are raised meanwhile."""
        loop = asyncio.get_running_loop()
        attempts = []

        def third(batch):
            for index, event in enumerate(batch.events):
                if event["n"] == 0:
                    attempts.append(loop.time())
                    if len(attempts) < 3:
                        batch.fail(index, "refused")
            return True

        await publish_numbers(producer, topic, range(3))
        async with Consuming(kafka, topic, on_failure="retry", retry_delay_ms=80) as consuming:
            consuming.memory.when("a", third)
            await until(lambda: len(attempts) == 3 and not consuming.listed["waiting"])
            assert (consuming.listed["received"], consuming.listed["retried"]) == (3, 2)
        assert min(attempts[1] - attempts[0], attempts[2] - attempts[1]) >= 0.07
        assert await committed(kafka, topic, topic) == 3

    async def test_failure_becomes_a_dead_letter(self, kafka, topic, producer):
        """By option the record goes to another topic as it was, with headers that say whence and why."""
        dead = await make_topic(kafka, name=f"{topic}.dead")
        await publish_numbers(producer, topic, range(2))
        options = {"dead_letter_topic": dead, "on_failure": "dead_letter", "on_refused": "dead_letter"}
        async with Consuming(kafka, topic, **options) as consuming:
            consuming.memory.when("a", refuse)
            await publish(producer, topic, "plain", key=b"k")
            await until(lambda: consuming.listed["dead_letters"] == 3)
        assert await committed(kafka, topic, topic) == 3
        letters = sorted(await everything(kafka, dead), key=lambda letter: dict(letter.headers)["evframe.offset"])
        assert [letter.value.decode() for letter in letters] == [NOTIFICATION % 0, NOTIFICATION % 1, "plain"]
        assert letters[2].key == b"k"
        assert dict(letters[0].headers) == {
            "evframe.reason": b"refused",
            "evframe.topic": topic.encode(),
            "evframe.partition": b"0",
            "evframe.offset": b"0",
        }

    async def test_nobody(self, kafka, topic, producer):
        """A record whose event has no subscriber is done with; by option it waits for a subscriber."""
        await publish(producer, topic, '{"jsonrpc":"2.0","method":"E_NOBODY"}')
        async with Consuming(kafka, topic, on_nobody="retry", retry_delay_ms=50) as consuming:
            await until(lambda: consuming.listed["retried"] == 2)
            consuming.events.subscribe_event("E_NOBODY", "memory:late")
            await until(lambda: consuming.memory.delivered.get("late"))
        assert await committed(kafka, topic, topic) == 1

    async def test_refused(self, kafka, topic, producer):
        """A record that becomes no event is counted with its reason, and done with."""
        await publish(producer, topic, "plain", '{"jsonrpc":"2.0","method":"E_CORE_LOG"}', NOTIFICATION % 1)
        async with Consuming(kafka, topic, events=["E_N"]) as consuming:
            await until(lambda: consuming.numbers == [1])
            assert consuming.listed["refused"] == {"no_event": 1, "not_allowed": 1}
        assert await committed(kafka, topic, topic) == 3


class TestGroups:
    """Several members share the partitions."""

    async def test_members_come_and_go(self, kafka, producer):
        """With each member that comes or leaves, what is under way is finished and committed: no record comes twice."""
        topic = await make_topic(kafka, 4)
        enough = asyncio.Event()

        async def load():
            number = 0
            while not enough.is_set() or number % 400:
                await publish_numbers(producer, topic, range(number, number + 20), partition=(number // 20) % 4)
                number += 20
                await asyncio.sleep(0.01)
            return number

        async with Consuming(kafka, topic, properties=QUICK) as first:
            await until(lambda: len(first.listed["partitions"]) == 4)
            loading = asyncio.create_task(load())
            async with Consuming(kafka, topic, properties=QUICK) as second:
                await until(lambda: len(second.listed["partitions"]) == 2)
                await until(lambda: len(second.numbers) > 50)
            await until(lambda: len(first.listed["partitions"]) == 4)
            enough.set()
            count = await loading
            await until(lambda: len(first.numbers) + len(second.numbers) >= count)
            numbers = first.numbers + second.numbers
            assert_all(numbers, count)
            assert len(numbers) == count
        for partition in range(4):
            assert await committed(kafka, topic, topic, partition) == count / 4

    async def test_rebalance_does_not_wait_for_ever(self, kafka, producer):
        """A member whose subscriber is away gives up its partitions after a while; the other one has it all then."""
        topic = await make_topic(kafka, 2)
        for partition in range(2):
            await publish_numbers(producer, topic, range(partition * 10, partition * 10 + 10), partition)
        async with Consuming(kafka, topic, config=QUICK_END, revoke_timeout_ms=100, properties=QUICK) as stuck:
            stuck.memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
            await until(lambda: stuck.listed["waiting"] == 20)
            async with Consuming(kafka, topic, properties=QUICK) as other:
                await until(lambda: len(other.listed["partitions"]) == 1)
                await until(lambda: len(other.numbers) == 10)
                await stuck.events.__aexit__(None, None, None)
                await until(lambda: len(other.numbers) == 20)
                assert_all(other.numbers, 20)

    async def test_pattern(self, kafka, producer):
        """A pattern takes the topics that it matches, those that are made later too."""
        prefix = f"p-{uuid.uuid4().hex[:6]}"
        await make_topic(kafka, name=f"{prefix}-a")
        options = {"topic_pattern": f"{prefix}-.*", "properties": {"metadata.max.age.ms": 200}}
        async with Consuming(kafka, group_id=prefix, **options) as consuming:
            await publish_numbers(producer, f"{prefix}-a", [0])
            await until(lambda: consuming.numbers == [0])
            await make_topic(kafka, name=f"{prefix}-b")
            await publish_numbers(producer, f"{prefix}-b", [1])
            await until(lambda: consuming.numbers == [0, 1])
            assert consuming.listed["partitions"] == [f"{prefix}-a/0", f"{prefix}-b/0"]


class TestOutages:
    """Whatever happens to the brokers, consuming continues and nothing is lost."""

    async def test_broker_restarts(self, kafka, topic, producer):
        """A broker that is killed and comes back is found again."""
        await publish_numbers(producer, topic, range(100))
        async with Consuming(kafka, topic) as consuming:
            await until(lambda: len(consuming.numbers) == 100)
            await asyncio.to_thread(kafka.stop, signal.SIGKILL)
            await asyncio.to_thread(kafka.start)
            async with AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{kafka.port}", acks="all") as another:
                await publish_numbers(another, topic, range(100, 200))
            await until(lambda: len(set(consuming.numbers)) == 200)
            assert_in_order(consuming.numbers, 200)
            status = consuming.events.status.group("kafka-consumer").find("c")
            assert status.details in {"consuming", "refused", "closed", "timeout", "no_metadata"}
        assert await committed(kafka, topic, topic) == 200

    async def test_connections_reset(self, kafka, topic, producer):
        """Resets in the middle of a load lose nothing."""
        async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy:
            async with Consuming(kafka, topic, brokers=f"127.0.0.1:{proxy.port}", max_in_flight=50) as consuming:
                for part in range(4):
                    await publish_numbers(producer, topic, range(part * 250, part * 250 + 250))
                    await until(lambda part=part: len(set(consuming.numbers)) > part * 250 + 100)
                    proxy.reset()
                await until(lambda: len(set(consuming.numbers)) == 1000)
                assert_in_order(consuming.numbers, 1000)

    async def test_away_at_the_start(self, kafka, topic, producer):
        """The interface starts without the brokers, and consumes when they answer."""
        async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy:
            proxy.refuse()
            options = {"brokers": f"127.0.0.1:{proxy.port}", "retry_timeout_ms": 200}
            async with Consuming(kafka, topic, **options) as consuming:
                await until(lambda: consuming.listed["state"] == "refused")
                await proxy.open()
                await publish_numbers(producer, topic, range(3))
                await until(lambda: consuming.numbers == [0, 1, 2])

    async def test_silent_broker(self, kafka, topic, producer):
        """While the brokers say nothing the state says so, and the interface can be left within its bounds."""
        async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy:
            options = {"brokers": f"127.0.0.1:{proxy.port}", "connect_timeout_ms": 300, "commit_interval_ms": 20}
            async with Consuming(kafka, topic, **options) as consuming:
                await publish_numbers(producer, topic, range(1))
                await until(lambda: consuming.numbers == [0])
                proxy.hold()
                await until(lambda: consuming.listed["state"] in {"timeout", "closed"})
                proxy.release()
                await until(lambda: consuming.listed["state"] == "consuming")
                proxy.hold()
                async with asyncio.timeout(20):
                    await consuming.events.__aexit__(None, None, None)
                proxy.release()

    async def test_start_that_is_given_up(self, kafka, topic):
        """When the time of the start is over, the connection to the silent broker is closed."""
        async with FaultProxy(kafka.port) as proxy:
            proxy.hold_after = FIRST_REQUEST
            options = {"brokers": f"127.0.0.1:{proxy.port}", "connect_timeout_ms": 300}
            async with Consuming(kafka, topic, **options) as consuming:
                await until(lambda: not proxy.flows.is_set())
                await until(lambda: consuming.listed["state"] == "timeout")
                assert not open_connections()


async def test_tls_and_passwords(kafka, topic, producer, tmp_path, caplog):
    """TLS and SASL are properties; the password may be in a file, and is in no log and no listing."""
    file = tmp_path / "password"
    file.write_text("wrong-sesame\n")
    options = {
        "brokers": f"localhost:{kafka.secure_port}",
        "retry_timeout_ms": 200,
        "password_file": str(file),
        "properties": {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "u",
            "ssl.ca.location": str(kafka.certificate),
        },
    }
    await publish_numbers(producer, topic, range(1))
    async with Consuming(kafka, topic, **options) as consuming:
        await until(lambda: consuming.listed["state"] == "no_metadata")
        assert "sesame" not in f"{caplog.text} {json.dumps(consuming.listed)}"
        file.write_text("s=e&cret\n")
        await until(lambda: consuming.numbers == [0])


async def test_tokens(kafka, topic, producer, tmp_path, caplog):
    """A membership with OAUTHBEARER waits for its token, and joins the group with it, as the dead letters do."""
    if not hasattr(kafka, "token_port"):
        pytest.skip("the broker that is given has no listener for tokens")
    file = tmp_path / "token"
    dead = await make_topic(kafka)
    options = {
        "brokers": f"127.0.0.1:{kafka.token_port}",
        "retry_timeout_ms": 200,
        "on_refused": "dead_letter",
        "dead_letter_topic": dead,
        "properties": {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.token.file": str(file),
        },
    }
    await publish(producer, topic, "no notification")
    await publish_numbers(producer, topic, range(1))
    async with Consuming(kafka, topic, **options) as consuming:
        await until(lambda: consuming.listed["state"] == "no_token")
        file.write_text(unsigned_token())
        await until(lambda: consuming.numbers == [0])
        await until(lambda: consuming.listed["dead_letters"] == 1)
    assert file.read_text() not in caplog.text


HOSTILE = [
    '{"jsonrpc":"2.0","method":"E_N","params":{"\\ud83d":1}}',
    '{"jsonrpc":"2.0","method":"E_\\ud83d","params":{"n":1}}',
    '{"jsonrpc":"2.0","method":"E_N","params":' + "[" * 5000 + "]" * 5000 + "}",
    '{"jsonrpc":"2.0","method":"E_N","params":{"n":' + "9" * 5000 + "}}",
    b"\xff\xfe\x00",
    "",
]


async def test_no_record_ends_the_consumer(kafka, topic, producer):
    """Whatever records hold, each that cannot become an event is refused and counted, and the next ones are raised."""
    async with Consuming(kafka, topic, max_in_flight=4) as consuming:
        for number in range(5):
            await publish(producer, topic, *HOSTILE)
            await publish_numbers(producer, topic, [number])
        await until(lambda: consuming.numbers.count(4))
        await until(lambda: not consuming.listed["waiting"])
        assert consuming.listed["received"] == 5 * (len(HOSTILE) + 1)
        assert consuming.listed["raised"] + sum(consuming.listed["refused"].values()) == consuming.listed["received"]


async def test_a_dead_letter_that_is_refused_holds_up_nothing(kafka, topic, producer, caplog):
    """A record that the dead letters do not take is counted and logged, and its partition is committed past it."""
    dead = await make_topic(kafka, **{"max.message.bytes": "1000"})
    options = {"on_refused": "dead_letter", "dead_letter_topic": dead, "retry_delay_ms": 50}
    async with Consuming(kafka, topic, **options) as consuming:
        await publish(producer, topic, "small", "x" * 5000)
        await publish_numbers(producer, topic, [7])
        await until(lambda: consuming.listed["dead_letters_refused"])
        assert consuming.listed["dead_letters_refused"] == {"MessageSizeTooLargeError": 1}
        await until(lambda: consuming.listed["dead_letters"] == 1)
        async with asyncio.timeout(60):
            while await committed(kafka, topic, topic) != 3:
                await asyncio.sleep(0.1)
    assert [record.value for record in await everything(kafka, dead)] == [b"small"]
    assert [record.message for record in caplog.records if record.levelname == "ERROR" and "lost" in record.message]


async def test_hostile_message_stops_no_partition(kafka, topic, producer):
    """A record with a lone surrogate in a parameter's name, or other parameters that cannot be raised, is refused."""
    hostile = [
        '{"jsonrpc":"2.0","method":"E_N","params":{"\\ud83d":1}}',
        '{"jsonrpc":"2.0","method":"E_N","params":%s}' % ("[" * 300 + "]" * 300),
        '{"jsonrpc":"2.0","method":"E_N","params":{"n":"\\ud83d"}}',
    ]
    async with Consuming(kafka, topic, on_refused="commit") as consuming:
        await publish(producer, topic, *hostile)
        await publish_numbers(producer, topic, range(3))
        await until(lambda: consuming.numbers == [0, 1, 2], timeout_s=30)
        assert consuming.listed["refused"] == {"parameters": 3}
        async with asyncio.timeout(30):
            while await committed(kafka, topic, topic) != 6:
                await asyncio.sleep(0.05)
