"""The plugin against a real NATS."""

import asyncio
import json
import signal
import uuid

import pytest
from brokers import certificates
from brokers.nats import Nats
from brokers.proxy import FaultProxy
from brokers.streams import jetstream_of, make_stream
from carried import PARENT, ByParameter
from evframe_nats_consumer import ConnectionOptions, NatsConsumer, Options
from evframe_nats_consumer.pending import Counts, Delivery, Pending
from nats.js.api import AckPolicy, ConsumerConfig
from numbered import assert_all, assert_exactly
from stream_servers import StreamServer

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import FakeNames, MemoryTransport, Recorder, SourceContract, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.2))
NOTIFICATION = '{"jsonrpc":"2.0","method":"E_N","params":{"n":%d}}'
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def stream(nats):
    """Return the name of a stream."""
    name = f"s{uuid.uuid4().hex[:8]}"
    await make_stream(nats, name)
    return name


async def publish(broker, stream, *bodies, subject="a", **options):
    async with jetstream_of(broker) as jetstream:
        for body in bodies:
            data = body if isinstance(body, bytes) else body.encode()
            await jetstream._nc.publish(f"{stream}.{subject}", data, **options)
        await jetstream._nc.flush()


async def publish_numbers(broker, stream, numbers):
    await publish(broker, stream, *(NOTIFICATION % number for number in numbers))


async def unanswered(broker, stream, consumer="evframe"):
    """Return how many messages the consumer has not had an answer to, and how many it has not sent."""
    async with jetstream_of(broker) as jetstream:
        info = await jetstream.consumer_info(stream, consumer)
    return info.num_ack_pending, info.num_pending


def plugin(broker, stream, **options):
    if "url" not in options:
        options["url"] = f"nats://127.0.0.1:{broker.port}"
    return NatsConsumer(Options(connections=[ConnectionOptions(**{"stream": stream, **options})]))


class Consuming:
    """An interface that consumes a stream, with the numbers of `E_N` at its subscriber in memory."""

    def __init__(self, broker, stream, config=None, **options):
        self.memory = MemoryTransport()
        self.source = plugin(broker, stream, **options)
        self.events = evframe.EventInterface(config, plugins={"memory": self.memory, "nats-consumer": self.source})
        self.events.register_event("E_N")
        self.events.subscribe_event("E_N", "memory:a")

    @property
    def numbers(self):
        return [event.get("n") for event in self.memory.delivered.get("a", [])]

    @property
    def listed(self):
        return self.events.commands.find("nats_consumer:list").run({})["Connections"][0]

    async def __aenter__(self):
        await self.events.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.events.__aexit__(None, None, None)


class TestContract(SourceContract):
    """What every source does."""

    name = "nats-consumer"

    @pytest.fixture(autouse=True)
    def given(self, nats, stream):
        self.nats, self.stream = nats, stream

    def source(self):
        return plugin(self.nats, self.stream, event="E_BODY")

    async def provoke(self, recorder):
        await publish(self.nats, self.stream, "hello")


async def test_messages_become_events(nats, stream):
    """A notification is the event that it names; any other body is a parameter, byte by byte, beside the subject."""
    async with Recorder({"nats-consumer": plugin(nats, stream, event="E_BODY")}) as recorder:
        recorder.register_event("E_N")
        await publish(nats, stream, "plain", b"\xff\x00", "", NOTIFICATION % 7, '{"n":1}', "x" * 90_000)
        got = await recorder.wait_for(6, 20)
        await until(lambda: recorder.plugin("nats-consumer").consumers[stream].counts.answers["ack"] == 6)

    bodies = [params["body"] for name, params in got if name == "E_BODY"]
    assert bodies == ["plain", "\udcff\x00", "", '{"n":1}', "x" * 90_000]
    assert {params["subject"] for name, params in got if name == "E_BODY"} == {f"{stream}.a"}
    assert ("E_N", {"n": 7}) in got
    assert await unanswered(nats, stream) == (0, 0)


async def test_a_user_that_may_not_answer(stream):
    """That is a state of the connection: the messages come again."""
    own = Nats(
        "accounts { A { jetstream: enabled, users: ["
        "{ user: all, password: x }, { user: few, password: x, permissions { publish: ['$JS.API.>'] } } ] } }\n"
        "no_auth_user: all"
    )
    try:
        await asyncio.to_thread(own.start)
        await make_stream(own, stream)
        await publish_numbers(own, stream, range(3))
        async with Consuming(own, stream, user="few", password="x") as consuming:
            await until(lambda: consuming.listed["state"] == "access_refused")
            assert await unanswered(own, stream) == (3, 0)
    finally:
        await asyncio.to_thread(own.remove)


async def test_order_and_every_one_of_a_burst(nats, stream):
    """What waits in the stream, and what comes in a burst, all arrives in order and is acknowledged."""
    await publish_numbers(nats, stream, range(200))
    async with Consuming(nats, stream, prefetch=30) as consuming:
        await publish_numbers(nats, stream, range(200, 1500))
        await until(lambda: consuming.listed["acknowledged"] == 1500)
        assert_exactly(consuming.numbers, 1500)
        assert consuming.listed == {
            "name": stream,
            "servers": f"nats://127.0.0.1:{nats.port}",
            "stream": stream,
            "subject": "",
            "consumer": "evframe",
            "state": "consuming",
            "received": 1500,
            "redelivered": 0,
            "raised": 1500,
            "refused": {},
            "waiting": 0,
            "acknowledged": 1500,
            "returned": 0,
            "terminated": 0,
        }
        status = consuming.events.status.group("nats-consumer").find(stream)
        assert (status.status, status.details) == (1, "consuming")
    assert await unanswered(nats, stream) == (0, 0)


async def test_some_subjects(nats, stream):
    """A consumer may have some subjects of its stream; one that begins with what is new leaves what was before."""
    await publish(nats, stream, NOTIFICATION % 0, subject="b")
    async with Consuming(nats, stream, subject=f"{stream}.b", deliver="new") as consuming:
        await until(lambda: consuming.listed["state"] == "consuming")
        await publish(nats, stream, NOTIFICATION % 1)
        await publish(nats, stream, NOTIFICATION % 2, subject="b")
        await until(lambda: consuming.listed["acknowledged"] == 1)
    assert consuming.numbers == [2]


async def test_large_messages_keep_their_order(nats, stream):
    """Large messages, which are read beside the loop, arrive in order among small ones; those refused are terminated."""
    large = NOTIFICATION.replace("%d}", '%d,"v":"' + "x" * 20_000 + '"}')
    async with Consuming(nats, stream) as consuming:
        bodies = []
        for number in range(0, 30, 3):
            bodies += [NOTIFICATION % number, large % (number + 1), b" " * 10_000, NOTIFICATION % (number + 2)]
        await publish(nats, stream, *bodies)  # on one connection: among several, the server keeps no order
        await until(lambda: consuming.listed["acknowledged"] == 30 and consuming.listed["terminated"] == 10)
        assert consuming.numbers == list(range(30))
        assert consuming.listed["refused"] == {"no_event": 10}
    assert await unanswered(nats, stream) == (0, 0)


async def test_acknowledged_with_the_outcome(nats, stream):
    """A message is acknowledged when the slowest subscriber has its event; until then, `prefetch` bounds what comes."""
    gate = asyncio.Event()
    async with Consuming(nats, stream, prefetch=10) as consuming:
        consuming.memory.when("slow", lambda batch: gate.wait())
        consuming.events.subscribe_event("E_N", "memory:slow")
        await publish_numbers(nats, stream, range(25))
        await until(lambda: consuming.listed["waiting"] == 10)
        await asyncio.sleep(0.05)  # time for more, which does not come
        assert consuming.numbers == list(range(10))
        assert (consuming.listed["received"], consuming.listed["acknowledged"]) == (10, 0)
        gate.set()
        await until(lambda: consuming.listed["acknowledged"] == 25)
    assert await unanswered(nats, stream) == (0, 0)


async def test_messages_that_wait_do_not_come_again(nats, stream):
    """While an event waits, the server is shown that its message is being worked on."""
    gate = asyncio.Event()
    async with Consuming(nats, stream, ack_wait_ms=300) as consuming:
        consuming.memory.when("a", lambda batch: gate.wait())
        await publish_numbers(nats, stream, range(5))
        await until(lambda: consuming.listed["waiting"] == 5)
        await asyncio.sleep(1.0)
        assert consuming.listed["redelivered"] == 0
        gate.set()
        await until(lambda: consuming.listed["acknowledged"] == 5)
    assert consuming.listed["received"] == 5


async def test_acknowledged_at_once(nats, stream):
    """By option a message is acknowledged once its event is raised, whatever its outcome."""
    async with Consuming(nats, stream, QUICK_END, prefetch=10, ack="at_once") as consuming:
        consuming.memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
        await publish_numbers(nats, stream, range(25))
        await until(lambda: consuming.listed["acknowledged"] == 25)
    assert consuming.numbers == []
    assert await unanswered(nats, stream) == (0, 0)


async def test_shutdown_in_the_middle(nats, stream):
    """What has no outcome when the interface is left comes again at once, and nothing else does."""
    await publish_numbers(nats, stream, range(100))

    def half(batch):
        for index, event in enumerate(batch.events):
            if event["n"] % 2 == 0:
                batch.confirm(index)
                consuming.memory.delivered.setdefault("a", []).append(event)
        raise evframe.Unavailable("away")

    async with Consuming(nats, stream, QUICK_END, prefetch=40, ack_wait_ms=600_000) as consuming:
        consuming.memory.when("a", half)
        await until(lambda: consuming.listed["acknowledged"] >= 20)
    acknowledged = sorted(set(consuming.numbers))
    async with Consuming(nats, stream) as again:
        await until(lambda: again.listed["acknowledged"] == 100 - len(acknowledged))
        assert sorted(acknowledged + again.numbers) == list(range(100))
    assert await unanswered(nats, stream) == (0, 0)


async def test_delivered_while_the_interface_is_left(nats, stream):
    """An event that is delivered within the drain time is acknowledged, and does not come again."""
    gate = asyncio.Event()

    def later(batch):
        asyncio.get_running_loop().call_later(0.1, gate.set)
        return gate.wait()

    async with Consuming(nats, stream) as consuming:
        consuming.memory.when("a", later)
        await publish_numbers(nats, stream, range(50))
        await until(lambda: consuming.listed["received"] == 50)
    assert consuming.listed["acknowledged"] == 50
    assert await unanswered(nats, stream) == (0, 0)


def refuse(batch):
    raise evframe.Rejected("refused")


@pytest.mark.parametrize(
    ("bodies", "when", "options", "listed"),
    [
        ([NOTIFICATION % 1], refuse, {}, {"acknowledged": 1}),
        ([NOTIFICATION % 1], refuse, {"on_failure": "term"}, {"terminated": 1}),
        (['{"jsonrpc":"2.0","method":"E_NONE"}'], None, {}, {"acknowledged": 1}),
        (['{"jsonrpc":"2.0","method":"E_NONE"}'], None, {"on_nobody": "term"}, {"terminated": 1}),
        (["none"], None, {}, {"terminated": 1}),
        (["none"], None, {"on_refused": "ack"}, {"acknowledged": 1}),
        (['{"jsonrpc":"2.0","method":"E_N"}'], None, {"events": ["E_A*"]}, {"terminated": 1}),
        (['{"jsonrpc":"2.0","method":"E_NONE"}'], None, {"max_events": 0}, {"terminated": 1}),
    ],
)
async def test_what_cannot_be_delivered(nats, stream, bodies, when, options, listed):
    """The options say what is done with a message whose event fails, has no subscriber, or is none."""
    async with Consuming(nats, stream, QUICK_END, **options) as consuming:
        if when is not None:
            consuming.memory.when("a", when)
        await publish(nats, stream, *bodies)
        await until(lambda: listed.items() <= consuming.listed.items())
    assert await unanswered(nats, stream) == (0, 0)


async def test_failure_is_tried_again(nats, stream):
    """By option the message comes again, after a while, until it is delivered."""
    loop = asyncio.get_running_loop()
    attempts = []

    def third(batch):
        attempts.append(loop.time())
        if len(attempts) < 3:
            raise evframe.Rejected("refused")
        return True

    async with Consuming(nats, stream, on_failure="nak", nak_delay_ms=150) as consuming:
        consuming.memory.when("a", third)
        await publish(nats, stream, NOTIFICATION % 1)
        await until(lambda: consuming.listed["acknowledged"])
        assert (consuming.listed["returned"], consuming.listed["redelivered"]) == (2, 2)
    assert min(attempts[1] - attempts[0], attempts[2] - attempts[1]) >= 0.1


async def test_context_of_a_message(nats, stream):
    """The event of a message is raised in the context that the headers of the message name."""
    tracing = ByParameter()
    async with Consuming(nats, stream) as consuming:
        consuming.events.trace_by(tracing)
        await publish(nats, stream, NOTIFICATION % 1, headers={"traceparent": PARENT})
        await until(lambda: consuming.listed["acknowledged"])
    assert [headers["traceparent"] for headers in tracing.within_headers] == [PARENT]


@pytest.mark.parametrize("fault", ["cut", "hold", "reset", "refuse"])
async def test_faults_on_the_way_lose_nothing(nats, stream, fault):
    """Everything arrives; what has its answer before the connection ends does not come again."""
    times = {"heartbeat_s": 1, "login_timeout_ms": 300, "retry_timeout_ms": 200, "ack_wait_ms": 2000}
    async with FaultProxy(nats.port) as proxy:
        url = f"nats://127.0.0.1:{proxy.port}"
        async with Consuming(nats, stream, url=url, prefetch=100, **times) as consuming:
            for first in range(0, 3000, 1000):
                await publish_numbers(nats, stream, range(first, first + 500))
                if fault == "cut":
                    proxy.cut_after = 500
                elif fault == "hold":
                    proxy.hold()
                    await until(lambda: consuming.listed["state"] != "consuming")
                    proxy.release()
                else:
                    proxy.reset()
                if fault == "refuse":
                    proxy.refuse()
                    await until(lambda: consuming.listed["state"] != "consuming")
                    await proxy.open()
                await publish_numbers(nats, stream, range(first + 500, first + 1000))
            await until(lambda: set(consuming.numbers) == set(range(3000)))
            await until(lambda: not consuming.listed["waiting"])
        again = len(consuming.numbers) - 3000
        assert again <= consuming.listed["redelivered"]
    assert (await unanswered(nats, stream))[1] == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
async def test_faults_of_the_server_lose_nothing(nats, stream, how):
    """A server that is killed, restarted or stands still loses none of the messages that it has."""
    if not hasattr(nats, "start"):
        pytest.skip("the server that is given cannot be stopped")
    times = {"heartbeat_s": 1, "login_timeout_ms": 300, "retry_timeout_ms": 200, "ack_wait_ms": 2000}
    async with Consuming(nats, stream, prefetch=50, **times) as consuming:
        gate = asyncio.Event()
        consuming.memory.when("slow", lambda batch: gate.wait())
        consuming.events.subscribe_event("E_N", "memory:slow")
        await publish_numbers(nats, stream, range(200))
        await until(lambda: consuming.listed["waiting"] == 50)
        if how == signal.SIGSTOP:
            nats.signal(signal.SIGSTOP)
            try:
                await until(lambda: consuming.listed["state"] != "consuming")
            finally:
                nats.signal(signal.SIGCONT)
        else:
            await asyncio.to_thread(nats.stop, how)
            await asyncio.to_thread(nats.start)
        gate.set()
        await publish_numbers(nats, stream, range(200, 1000))
        await until(lambda: set(consuming.numbers) == set(range(1000)))
        await until(lambda: not consuming.listed["waiting"])
    assert_all(consuming.numbers, 1000)


async def test_answers_go_over_the_next_connection(nats, stream):
    """What was delivered while the connection was lost is acknowledged on the next one, and does not come again."""
    gate = asyncio.Event()
    async with FaultProxy(nats.port) as proxy:
        url = f"nats://127.0.0.1:{proxy.port}"
        async with Consuming(nats, stream, url=url, retry_timeout_ms=100) as consuming:
            consuming.memory.when("a", lambda batch: gate.wait())
            await publish_numbers(nats, stream, range(5))
            await until(lambda: consuming.listed["waiting"] == 5)
            proxy.refuse()
            proxy.reset()
            await until(lambda: consuming.listed["state"] != "consuming")
            gate.set()
            await until(lambda: consuming.listed["acknowledged"] == 5)
            await proxy.open()
            await until(lambda: consuming.listed["state"] == "consuming")
        assert consuming.listed["received"] == 5
    assert await unanswered(nats, stream) == (0, 0)


async def test_stream_that_is_missing_and_deleted(nats):
    """A stream that is not there is waited for; one that is deleted and made again is consumed from its beginning."""
    stream = f"s{uuid.uuid4().hex[:8]}"
    gate = asyncio.Event()
    async with Consuming(nats, stream, heartbeat_s=1, retry_timeout_ms=100) as consuming:
        await until(lambda: consuming.listed["state"] == "no_stream")
        await make_stream(nats, stream)
        await publish_numbers(nats, stream, range(3))
        await until(lambda: consuming.listed["acknowledged"] == 3)
        consuming.memory.when("a", lambda batch: gate.wait())
        await publish_numbers(nats, stream, range(3, 6))
        await until(lambda: consuming.listed["waiting"] == 3)
        async with jetstream_of(nats) as jetstream:
            await jetstream.delete_stream(stream)
        await until(lambda: consuming.listed["state"] == "no_stream")
        await make_stream(nats, stream)
        await until(lambda: consuming.listed["state"] == "consuming")
        consuming.memory.when("a", None)
        # Their answers have the numbers of messages that come now, which must not be acknowledged by them.
        gate.set()
        await until(lambda: not consuming.listed["waiting"])
        assert consuming.listed["acknowledged"] == 3
        await publish_numbers(nats, stream, range(6, 12))
        await until(lambda: consuming.listed["acknowledged"] == 9)
    assert consuming.numbers == [*range(3), *range(6, 12)]


async def test_consumer_that_is_missing_and_deleted(nats, stream):
    """A consumer that may not be made is waited for; one that is deleted is made again where that is permitted."""
    async with Consuming(nats, stream, declare=False, consumer="C", retry_timeout_ms=100) as consuming:
        await until(lambda: consuming.listed["state"] == "no_consumer")
        async with jetstream_of(nats) as jetstream:
            await jetstream.add_consumer(stream, ConsumerConfig(durable_name="C", ack_policy=AckPolicy.EXPLICIT))
        await publish_numbers(nats, stream, [1])
        await until(lambda: consuming.listed["acknowledged"] == 1)
        async with jetstream_of(nats) as jetstream:
            await jetstream.delete_consumer(stream, "C")
        await until(lambda: consuming.listed["state"] == "no_consumer")
    async with Consuming(nats, stream, consumer="C", retry_timeout_ms=100) as consuming:
        await until(lambda: consuming.listed["acknowledged"] == 1)
        async with jetstream_of(nats) as jetstream:
            await jetstream.delete_consumer(stream, "C")
        await until(lambda: consuming.listed["acknowledged"] == 2)


@pytest.mark.parametrize(
    "config", [{"ack_policy": AckPolicy.ALL}, {"ack_policy": AckPolicy.NONE}, {"deliver_subject": "x"}]
)
async def test_consumer_of_another_kind(nats, stream, config):
    """A consumer whose acknowledgements mean something else, or that is no pull consumer, is not used."""
    async with jetstream_of(nats) as jetstream:
        config = {"ack_policy": AckPolicy.EXPLICIT, **config}
        await jetstream.add_consumer(stream, ConsumerConfig(durable_name="evframe", **config))
    async with Consuming(nats, stream) as consuming:
        await until(lambda: consuming.listed["state"] == "no_pull_consumer")


async def test_two_consumers_share_a_stream(nats, stream):
    """Each message goes to one of two."""
    async with Consuming(nats, stream, prefetch=10) as first, Consuming(nats, stream, prefetch=10) as second:
        await until(lambda: {first.listed["state"], second.listed["state"]} == {"consuming"})
        await publish_numbers(nats, stream, range(300))
        await until(lambda: first.listed["acknowledged"] + second.listed["acknowledged"] == 300)
        assert sorted(first.numbers + second.numbers) == list(range(300))
        assert first.numbers
        assert second.numbers


async def test_subject_without_a_stream(nats):
    """Messages of a subject without JetStream become events as they come; a queue group shares them."""
    name = uuid.uuid4().hex
    options = {"subject": f"{name}.*", "ack": "at_once"}
    async with Consuming(nats, None, **options) as first, Consuming(nats, None, **options) as second:
        await until(lambda: {first.listed["state"], second.listed["state"]} == {"consuming"})
        await publish_numbers(nats, name, range(300))
        await until(lambda: len(first.numbers) + len(second.numbers) == 300)
        assert sorted(first.numbers + second.numbers) == list(range(300))
        assert first.numbers == sorted(first.numbers)


async def test_tls_and_login(tmp_path):
    """A server with TLS and a user is consumed with both; without, the state has the reason."""
    both = certificates.make(tmp_path)
    server = Nats()
    try:
        paths = f'cert_file: "{tmp_path}/certificate.pem", key_file: "{tmp_path}/certificate-key.pem"'
        server.configure(f"tls {{ {paths} }}\nauthorization {{ user: u, password: s3cret }}\n")
        server.start()
        options = {"subject": "a", "ack": "at_once", "user": "u", "retry_timeout_ms": 100}
        for more, state in [
            ({"url": f"tls://localhost:{server.port}", "ca_file": str(both), "password": "s3cret"}, "consuming"),
            ({"url": f"tls://localhost:{server.port}", "ca_file": str(both), "password": "wr0ng"}, "access_refused"),
            ({"url": f"tls://localhost:{server.port}", "password": "s3cret"}, "tls"),
            ({"url": f"nats://localhost:{server.port}", "password": "s3cret"}, "tls"),
        ]:
            async with Consuming(server, None, **options, **more) as consuming:
                await is_in(consuming, state)
    finally:
        server.remove()


async def is_in(consuming, state):
    await until(lambda: consuming.listed["state"] == state)


async def test_names_that_move(nats, stream):
    """The consumer connects to the addresses that the host has now."""
    async with FaultProxy(nats.port) as old, FaultProxy(nats.port, old.port, "127.0.0.2") as new:
        with FakeNames({"nats.example": ["127.0.0.1"]}) as names:
            consuming = Consuming(nats, stream, url=f"nats://nats.example:{old.port}", retry_timeout_ms=100)
            consuming.events.resolver.lookup = names
            async with consuming:
                await is_in(consuming, "consuming")
                names["nats.example"] = ["127.0.0.2"]
                while not new.connections:
                    consuming.events.resolver.forget("nats.example")
                    consuming.events.resolver.refresh_all()
                    await asyncio.sleep(0.002)
                await publish_numbers(nats, stream, range(10))
                await until(lambda: consuming.listed["acknowledged"] == 10)


async def test_several_servers(nats, stream):
    """Servers are tried in their order."""
    url = f"nats://127.0.0.1:1,127.0.0.1:{nats.port}"
    async with Consuming(nats, stream, url=url) as consuming:
        await is_in(consuming, "consuming")


def test_deliveries_and_answers():
    """The number of a message is found in both forms of a reply subject; an answer is sent once."""
    plain, long = b"$JS.ACK.S.C.1.7.3.1700000000.0", b"$JS.ACK.hub.hash.S.C.2.8.4.1700000000.0"
    first, second = Delivery.of(plain), Delivery.of(long)
    assert (first.number, first.is_again) == (b"7", False)
    assert (second.number, second.is_again) == (b"8", True)
    assert Delivery.of(b"") is None
    assert Delivery.of(b"$JS.ACK.S") is None
    counts = Counts()
    pending = Pending(counts)
    assert [pending.add(each) for each in (first, second, first)] == [True, True, False]
    pending.answer(b"7", "nak", 5)
    pending.answer(b"7", "ack")
    assert pending.commands() == b'PUB %b 22\r\n-NAK {"delay":5000000}\r\n' % plain
    assert pending.in_progress() == b"PUB %b 4\r\n+WPI\r\n" % long
    pending.belongs_to("another")
    pending.answer(b"8", "ack")
    assert pending.commands() == b""
    assert dict(counts.answers) == {"nak": 1}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "stream: expected either a stream, or a subject"),
        ({"subject": "a"}, "stream: expected either a stream, or a subject"),
        ({"stream": "a.b"}, "stream: expected a name without blanks"),
        ({"stream": "S", "consumer": "a b"}, "consumer: expected a name without blanks"),
        ({"stream": "S", "subject": "a..b"}, "subject: expected a subject"),
        ({"stream": "S", "url": "nats://u:s3cret@h"}, "url: expected nats://host"),
        ({"stream": "S", "url": "http://s3cret"}, "url: expected nats://host"),
        ({"stream": "S", "url": "nats://"}, "url: expected nats://host"),
        ({"stream": "S", "event": "E" * 65}, "event: expected an event name"),
        ({"stream": "S", "prefetch": 0}, "prefetch: expected 1 to 65535"),
        ({"stream": "S", "creds_file": "/no/such"}, "creds_file: expected a file that can be read"),
    ],
)
def test_bad_options(options, problem):
    """Each option says what it takes, without a password."""
    with pytest.raises(ValueError) as raised:
        ConnectionOptions(**options)
    assert str(raised.value).startswith(problem)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "consumer",
    [
        {"config": {"ack_policy": "explicit", "ack_wait": 10**9}, "created": "now"},
        {},
        {"config": 1},
        {"config": {"ack_policy": "explicit", "ack_wait": "long"}, "created": "now"},
        {"error": 1},
    ],
)
async def test_hostile_servers(consumer):
    """A server that answers as none does is left, and tried again."""
    answer, seen = json.dumps(consumer).encode(), []

    async def serve(reader, writer):
        writer.write(b'INFO {"server_id":"x","version":"2.12.0","headers":true,"max_payload":1000}\r\n')
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await reader.readuntil(b"CONSUMER.INFO.S.evframe ")
        reply = (await reader.readuntil(b" ")).strip()
        writer.write(b"MSG %b 1 5\r\n{}[[}\r\nMSG a 1 0\r\n\r\n" % reply)
        writer.write(b"HMSG %b9 1 16 16\r\nNATS/1.0 xxx\r\n\r\n\r\nMSG a 1 $JS.ACK.x 1\r\nx\r\n" % reply[:-1])
        writer.write(b"MSG %b 1 %d\r\n%b\r\n" % (reply, len(answer), answer))
        await reader.readuntil(b"MSG.NEXT")
        seen.append(answer)
        writer.write(b"NONSENSE\r\n")
        await reader.read()

    async with StreamServer(serve) as server:
        url = f"nats://127.0.0.1:{server.port}"
        async with Consuming(None, "S", url=url, retry_timeout_ms=50, login_timeout_ms=500) as consuming:
            status = consuming.events.status.group("nats-consumer").find("S")
            await until(lambda: len(status.reports) > 2 or consuming.listed["state"] == "bad_reply")
        assert consuming.listed["received"] == 0
    assert bool(seen) == ("created" in consumer and consumer["config"]["ack_wait"] != "long")
