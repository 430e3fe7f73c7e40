"""The plugin against a real RabbitMQ."""

import asyncio
import json
import signal
import sys
import uuid
from contextlib import asynccontextmanager

import aio_pika
import aiormq
import pytest
from brokers.proxy import FaultProxy
from evframe_rabbitmq_consumer import ConnectionOptions, Options, RabbitmqConsumer
from numbered import assert_all, assert_exactly, assert_in_order
from silent import SilentTls

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import FakeNames, MemoryTransport, Recorder, SourceContract, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.2))
NAME = "broker.rabbitmq.example"
MOST_OF_A_LOGIN = 400  # bytes, until messages can come
NOTIFICATION = '{"jsonrpc":"2.0","method":"E_N","params":{"n":%d}}'
pytestmark = pytest.mark.timeout(120)


@asynccontextmanager
async def connected(broker):
    async with aiormq.connect(f"amqp://127.0.0.1:{broker.port}/") as connection:
        yield await connection.channel()


@pytest.fixture
async def channel(rabbitmq):
    """Return a channel of the test's own."""
    async with connected(rabbitmq) as channel:
        yield channel


@pytest.fixture
async def queue(channel):
    """Return the name of a durable queue, whose dead letters go to the queue of the same name with ``.dead``."""
    name = f"q-{uuid.uuid4().hex[:8]}"
    await channel.queue_declare(f"{name}.dead", durable=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}.dead"}
    await channel.queue_declare(name, durable=True, arguments=arguments)
    yield name
    if not channel.is_closed:
        for each in (name, f"{name}.dead"):
            await channel.queue_delete(each)


async def publish(channel, queue, *bodies):
    persistent = aiormq.spec.Basic.Properties(delivery_mode=2)
    for body in bodies:
        data = body if isinstance(body, bytes) else body.encode()
        await channel.basic_publish(data, routing_key=queue, properties=persistent)


async def publish_numbers(channel, queue, numbers):
    await publish(channel, queue, *(NOTIFICATION % number for number in numbers))


async def depth(channel, queue):
    return (await channel.queue_declare(queue, passive=True)).message_count


async def drained(channel, queue):
    """Return the bodies that are in a queue, and take them out."""
    bodies = []
    while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag is not None:
        bodies.append(message.body.decode())
    return bodies


def plugin(broker, queue, **options):
    uri = options.pop("uri", f"amqp://127.0.0.1:{broker.port}/")
    return RabbitmqConsumer(Options(connections=[ConnectionOptions(**{"queue": queue, "uri": uri, **options})]))


class Consuming:
    """An interface that consumes a queue, with the numbers of `E_N` at its subscriber in memory."""

    def __init__(self, broker, queue, config=None, **options):
        self.memory = MemoryTransport()
        source = plugin(broker, queue, **options)
        self.events = evframe.EventInterface(config, plugins={"memory": self.memory, "rabbitmq-consumer": source})
        self.events.register_event("E_N")
        self.events.subscribe_event("E_N", "memory:a")
        self.source = source

    @property
    def numbers(self):
        return [event.get("n") for event in self.memory.delivered.get("a", [])]

    @property
    def listed(self):
        return self.events.commands.find("rabbitmq_consumer:list").run({})["Connections"][0]

    async def __aenter__(self):
        await self.events.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.events.__aexit__(None, None, None)


class TestContract(SourceContract):
    """What every source does."""

    name = "rabbitmq-consumer"

    @pytest.fixture(autouse=True)
    def given(self, rabbitmq, queue):
        self.rabbitmq, self.queue = rabbitmq, queue

    def source(self):
        return plugin(self.rabbitmq, self.queue, event="E_BODY")

    async def provoke(self, recorder):
        async with connected(self.rabbitmq) as channel:
            await publish(channel, self.queue, "hello")


@pytest.mark.parametrize(
    ("options", "shown"),
    [({"connection_name": "events & more of north"}, "events & more of north"), ({"name": "calls"}, "evframe calls")],
)
async def test_the_broker_lists_the_name_of_the_connection(rabbitmq, queue, options, shown):
    """The broker's listings call the connection by `connection_name`; without it, by the name that it has here."""
    async with Recorder({"rabbitmq-consumer": plugin(rabbitmq, queue, event="E_BODY", **options)}) as recorder:
        (connection,) = recorder.command("rabbitmq_consumer:list")["Connections"]
        name = connection["name"]
        await until(lambda: recorder.command("rabbitmq_consumer:list")["Connections"][0]["state"] == "consuming")
        assert name == options.get("name", queue)
        if hasattr(rabbitmq, "evaluate"):
            wanted = f'{{<<"connection_name">>, longstr, <<"{shown}">>}}'
            listed = "rabbit_networking:connection_info_all([client_properties])"
            has_name = f"fun([{{_, All}}]) -> lists:member({wanted}, All); (_) -> false end"
            await asyncio.to_thread(rabbitmq.evaluate, f"true = lists:any({has_name}, {listed}), ok")


async def test_messages_become_events(rabbitmq, channel, queue):
    """A notification is the event that it names; any other body is a parameter, byte by byte, NUL and empty ones too."""
    async with Recorder({"rabbitmq-consumer": plugin(rabbitmq, queue, event="E_BODY")}) as recorder:
        recorder.register_event("E_N")
        await publish(channel, queue, "plain", b"\xff\x00", "", NOTIFICATION % 7, '{"n":1}', "x" * 300_000)
        got = await recorder.wait_for(6, 20)
        await until(lambda: recorder.plugin("rabbitmq-consumer").consumers[queue].counts.answers["ack"] == 6)

    bodies = [params["body"] for name, params in got if name == "E_BODY"]
    assert bodies == ["plain", "\udcff\x00", "", '{"n":1}', "x" * 300_000]
    assert ("E_N", {"n": 7}) in got
    assert await depth(channel, queue) == 0


async def test_order_and_every_one_of_a_burst(rabbitmq, channel, queue):
    """What waits in the queue, and what comes in a burst, all arrives in order: the original lost sight of the rest."""
    await publish_numbers(channel, queue, range(200))
    async with Consuming(rabbitmq, queue, prefetch=30) as consuming:
        await publish_numbers(channel, queue, range(200, 1500))
        await until(lambda: consuming.listed["acknowledged"] == 1500)
        assert_exactly(consuming.numbers, 1500)
        assert consuming.listed == {
            "name": queue,
            "broker": f"amqp://127.0.0.1:{rabbitmq.port}/",
            "queue": queue,
            "state": "consuming",
            "received": 1500,
            "redelivered": 0,
            "raised": 1500,
            "refused": {},
            "waiting": 0,
            "acknowledged": 1500,
            "requeued": 0,
            "rejected": 0,
        }
        status = consuming.events.status.group("rabbitmq-consumer").find(queue)
        assert (status.status, status.details) == (1, "consuming")
    assert await depth(channel, queue) == 0


async def test_large_messages_are_prepared_beside_the_loop(rabbitmq, channel, queue):
    """Large messages with hostile values arrive in order among small ones; the loop reads none of them."""
    nested = "[" * 100 + "]" * 100
    large = NOTIFICATION.replace("%d}", '%d,"v":[' + ",".join([nested] * 1000) + "]}")
    refused = b" " * 10_000
    on_the_loop = set()

    def watch(frame, kind, _):
        if kind == "call" and frame.f_code.co_name == "read_notification":
            on_the_loop.add(len(frame.f_locals[frame.f_code.co_varnames[0]]))

    async with Consuming(rabbitmq, queue, event=None) as consuming:
        sys.setprofile(watch)
        try:
            for number in range(0, 9, 3):
                await publish(channel, queue, NOTIFICATION % number, large % (number + 1), refused)
                await publish(channel, queue, NOTIFICATION % (number + 2))
            await until(lambda: consuming.listed["acknowledged"] == 9 and consuming.listed["rejected"] == 3)
        finally:
            sys.setprofile(None)
        assert consuming.numbers == list(range(9))
        assert consuming.listed["refused"] == {"no_event": 3}
    assert on_the_loop
    assert max(on_the_loop) < 1000
    assert await depth(channel, f"{queue}.dead") == 3


async def test_acknowledged_with_the_outcome(rabbitmq, channel, queue):
    """A message is acknowledged when the slowest subscriber has its event; until then, `prefetch` bounds what comes."""
    gate = asyncio.Event()
    async with Consuming(rabbitmq, queue, prefetch=10) as consuming:
        consuming.memory.when("slow", lambda batch: gate.wait())
        consuming.events.subscribe_event("E_N", "memory:slow")
        await publish_numbers(channel, queue, range(25))
        await until(lambda: consuming.listed["waiting"] == 10)
        await asyncio.sleep(0.05)  # time for more, which does not come
        assert consuming.numbers == list(range(10))
        assert (consuming.listed["received"], consuming.listed["acknowledged"]) == (10, 0)
        gate.set()
        await until(lambda: consuming.listed["acknowledged"] == 25)
    assert await depth(channel, queue) == 0


async def test_acknowledged_at_once(rabbitmq, channel, queue):
    """By option a message is acknowledged once its event is raised, whatever its outcome."""
    async with Consuming(rabbitmq, queue, QUICK_END, prefetch=10, ack="at_once") as consuming:
        consuming.memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
        await publish_numbers(channel, queue, range(25))
        await until(lambda: consuming.listed["acknowledged"] == 25)
    assert consuming.numbers == []
    assert await depth(channel, queue) == 0


async def test_shutdown_in_the_middle(rabbitmq, channel, queue):
    """What has no outcome when the interface is left is in the queue again, and nothing else is."""
    await publish_numbers(channel, queue, range(100))

    def half(batch):
        for index, event in enumerate(batch.events):
            if event["n"] % 2 == 0:
                batch.confirm(index)
                consuming.memory.delivered.setdefault("a", []).append(event)
        raise evframe.Unavailable("away")

    async with Consuming(rabbitmq, queue, QUICK_END, prefetch=40) as consuming:
        consuming.memory.when("a", half)
        await until(lambda: consuming.listed["acknowledged"] >= 20)
    acknowledged = sorted(set(consuming.numbers))
    async with Consuming(rabbitmq, queue) as again:
        await until(lambda: again.listed["acknowledged"] == 100 - len(acknowledged))
        assert sorted(acknowledged + again.numbers) == list(range(100))
    assert await depth(channel, queue) == 0


async def test_delivered_while_the_interface_is_left(rabbitmq, channel, queue):
    """An event that is delivered within the drain time is acknowledged, and does not come again."""
    gate = asyncio.Event()

    def later(batch):
        asyncio.get_running_loop().call_later(0.1, gate.set)
        return gate.wait()

    async with Consuming(rabbitmq, queue) as consuming:
        consuming.memory.when("a", later)
        await publish_numbers(channel, queue, range(50))
        await until(lambda: consuming.listed["received"] == 50)
    assert consuming.listed["acknowledged"] == 50
    assert await depth(channel, queue) == 0


class TestWhatBecomesOfAMessage:
    """The options for what cannot be delivered."""

    async def run(self, rabbitmq, channel, queue, bodies, enough, when=None, **options):
        """Return the plugin's counters once *enough* of them holds, and the dead letters."""
        async with Consuming(rabbitmq, queue, QUICK_END, **options) as consuming:
            if when is not None:
                consuming.memory.when("a", when)
            await publish(channel, queue, *bodies)
            await until(lambda: enough(consuming.listed))
            listed = consuming.listed
        return listed, await drained(channel, f"{queue}.dead")

    async def test_failure_is_acknowledged(self, rabbitmq, channel, queue):
        """By default a delivery that failed for good is an outcome like any other."""
        listed, dead = await self.run(
            rabbitmq, channel, queue, [NOTIFICATION % 1], lambda listed: listed["acknowledged"], refuse
        )
        assert (listed["acknowledged"], dead) == (1, [])

    async def test_failure_is_rejected(self, rabbitmq, channel, queue):
        """By option the message goes to the dead letters."""
        bodies = [NOTIFICATION % 1, NOTIFICATION % 2]
        listed, dead = await self.run(
            rabbitmq, channel, queue, bodies, lambda listed: listed["rejected"] == 2, refuse, on_failure="reject"
        )
        assert (listed["acknowledged"], dead) == (0, bodies)

    async def test_failure_is_tried_again(self, rabbitmq, channel, queue):
        """By option the message comes again, after a wait, until it is delivered."""
        loop = asyncio.get_running_loop()
        attempts = []

        def third(batch):
            attempts.append(loop.time())
            if len(attempts) < 3:
                raise evframe.Rejected("refused")
            return True

        listed, dead = await self.run(
            rabbitmq,
            channel,
            queue,
            [NOTIFICATION % 1],
            lambda listed: listed["acknowledged"],
            third,
            on_failure="requeue",
            requeue_delay_ms=80,
        )
        assert (listed["acknowledged"], listed["requeued"], listed["redelivered"], dead) == (1, 2, 2, [])
        assert min(attempts[1] - attempts[0], attempts[2] - attempts[1]) >= 0.07

    async def test_nobody(self, rabbitmq, channel, queue):
        """A message whose event has no subscriber is done with, or rejected by option."""
        body = '{"jsonrpc":"2.0","method":"E_NOBODY"}'
        listed, dead = await self.run(rabbitmq, channel, queue, [body], lambda listed: listed["acknowledged"])
        assert (listed["raised"], dead) == (1, [])
        listed, dead = await self.run(
            rabbitmq, channel, queue, [body], lambda listed: listed["rejected"], on_nobody="reject"
        )
        assert (listed["acknowledged"], dead) == (0, [body])

    async def test_refused(self, rabbitmq, channel, queue):
        """A message that becomes no event goes to the dead letters with its reason counted, or is done with by option."""
        bodies = ["plain", '{"jsonrpc":"2.0","method":"E_CORE_LOG"}', NOTIFICATION % 1]
        listed, dead = await self.run(
            rabbitmq, channel, queue, bodies, lambda listed: listed["acknowledged"], events=["E_N"]
        )
        assert (listed["refused"], listed["rejected"], dead) == ({"no_event": 1, "not_allowed": 1}, 2, bodies[:2])
        listed, dead = await self.run(
            rabbitmq, channel, queue, ["plain"], lambda listed: listed["acknowledged"], on_refused="ack"
        )
        assert (listed["refused"], dead) == ({"no_event": 1}, [])


def refuse(batch):
    raise evframe.Rejected("refused")


class TestOutages:
    """Whatever happens to the connection, consuming continues and nothing is lost."""

    async def test_broker_restarts(self, rabbitmq, channel, queue):
        """A broker that is killed and comes back is found again; what was not acknowledged comes again, in order."""
        await publish_numbers(channel, queue, range(300))
        gate = asyncio.Event()
        async with Consuming(rabbitmq, queue, prefetch=100) as consuming:
            consuming.memory.when("slow", lambda batch: gate.wait())
            consuming.events.subscribe_event("E_N", "memory:slow")
            await until(lambda: consuming.listed["waiting"] == 100)
            await asyncio.to_thread(rabbitmq.keep)
            await asyncio.to_thread(rabbitmq.stop, signal.SIGKILL)
            await until(lambda: consuming.listed["state"] != "consuming")
            gate.set()
            await asyncio.to_thread(rabbitmq.start)
            await until(lambda: consuming.listed["acknowledged"] == 300)
            assert_in_order(consuming.numbers, 300)
            assert len(consuming.numbers) == 400  # the first hundred once more: no answer could reach the broker
            assert consuming.listed["redelivered"] >= 100
        async with connected(rabbitmq) as another:
            assert await depth(another, queue) == 0

    async def test_connection_resets(self, rabbitmq, channel, queue):
        """Resets in the middle of a load cost nothing but repetitions."""
        async with FaultProxy(rabbitmq.port) as proxy:
            uri = f"amqp://127.0.0.1:{proxy.port}/"
            async with Consuming(rabbitmq, queue, uri=uri, prefetch=50) as consuming:
                for part in range(4):
                    await publish_numbers(channel, queue, range(part * 250, part * 250 + 250))
                    await until(lambda part=part: len(set(consuming.numbers)) > part * 250 + 100)
                    proxy.reset()
                await until(lambda: len(set(consuming.numbers)) == 1000)
                assert_in_order(consuming.numbers, 1000)
                await until(lambda: consuming.listed["state"] == "consuming")
                while await depth(channel, queue):  # what could not be acknowledged comes again
                    await asyncio.sleep(0.01)
                await publish_numbers(channel, queue, [1000])
                await until(lambda: 1000 in consuming.numbers and not consuming.listed["waiting"])
        assert await depth(channel, queue) == 0

    async def test_what_is_lost_with_a_connection_is_bounded(self, rabbitmq, channel, queue):
        """A subscriber that is away for good gets no more than `prefetch` events, however often the connection ends."""
        async with FaultProxy(rabbitmq.port) as proxy:
            uri = f"amqp://127.0.0.1:{proxy.port}/"
            async with Consuming(rabbitmq, queue, QUICK_END, uri=uri, prefetch=10) as consuming:
                consuming.memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
                await publish_numbers(channel, queue, range(30))
                await until(lambda: consuming.listed["waiting"] == 10)
                for _ in range(3):
                    proxy.reset()
                    await until(lambda: consuming.listed["state"] != "consuming")
                    await asyncio.sleep(0.2)  # time to come back, which it has no room for
                assert (consuming.listed["received"], consuming.listed["waiting"]) == (10, 10)
        assert await depth(channel, queue) == 30

    async def test_silent_broker(self, rabbitmq, channel, queue):
        """A broker that says nothing is left after the heartbeats that are missing, and found again."""
        async with FaultProxy(rabbitmq.port) as proxy:
            uri = f"amqp://127.0.0.1:{proxy.port}/"
            async with Consuming(rabbitmq, queue, uri=uri, heartbeat_s=1, login_timeout_ms=500) as consuming:
                await publish_numbers(channel, queue, range(1))
                await until(lambda: consuming.numbers == [0])
                proxy.hold()
                await until(lambda: consuming.listed["state"] == "closed")
                await until(lambda: consuming.listed["state"] == "login_timeout")
                proxy.release()
                await publish_numbers(channel, queue, range(1, 2))
                await until(lambda: set(consuming.numbers) == {0, 1})

    async def test_broker_moves_to_another_address(self, rabbitmq, channel, queue):
        """When its name has another address, a consumer connects there; what had no outcome yet comes again."""
        with FakeNames({NAME: ["127.0.0.1"]}) as names:
            async with FaultProxy(rabbitmq.port) as old, FaultProxy(rabbitmq.port, old.port, "127.0.0.2") as new:
                consuming = Consuming(rabbitmq, queue, uri=f"amqp://{NAME}:{old.port}/", prefetch=20)
                consuming.events.resolver.lookup = names
                gate = asyncio.Event()
                consuming.memory.when("slow", lambda batch: gate.wait())
                consuming.events.subscribe_event("E_N", "memory:slow")
                async with consuming:
                    await publish_numbers(channel, queue, range(300))
                    await until(lambda: consuming.listed["waiting"] == 20)
                    names[NAME] = ["127.0.0.2"]
                    consuming.events.resolver.refresh_all()
                    await until(lambda: consuming.listed["state"] == "moved")
                    assert new.connections == 0  # there is no room before these have their outcomes
                    gate.set()
                    await until(lambda: consuming.listed["acknowledged"] == 300)
                    assert (old.connections, new.connections) == (1, 1)
                    assert_in_order(consuming.numbers, 300)
                    assert (len(consuming.numbers), consuming.listed["redelivered"]) == (320, 20)
        assert await depth(channel, queue) == 0

    async def test_broker_moves_while_nothing_is_open(self, rabbitmq, channel, queue):
        """An idle consumer goes to the new address as well, and gets each message once; another address more is no move."""
        with FakeNames({NAME: ["127.0.0.1"]}) as names:
            async with FaultProxy(rabbitmq.port) as old, FaultProxy(rabbitmq.port, old.port, "127.0.0.2") as new:
                consuming = Consuming(rabbitmq, queue, uri=f"amqp://{NAME}:{old.port}/")
                consuming.events.resolver.lookup = names
                async with consuming:
                    for part, addresses in enumerate((["127.0.0.1"], ["127.0.0.2", "127.0.0.1"], ["127.0.0.2"])):
                        names[NAME] = addresses
                        consuming.events.resolver.refresh_all()
                        if part == 2:
                            await until(lambda: new.connections)
                        await publish_numbers(channel, queue, range(part * 10, part * 10 + 10))
                        await until(lambda part=part: consuming.listed["acknowledged"] == part * 10 + 10)
                    assert consuming.numbers == list(range(30))
                    assert (old.connections, new.connections) == (1, 1)

    async def test_connection_is_cut_at_every_step(self, rabbitmq, channel, queue):
        """Whatever the library makes of a connection that ends while it is made, cancellations too, consuming continues."""
        async with FaultProxy(rabbitmq.port) as proxy:
            uri = f"amqp://127.0.0.1:{proxy.port}/"
            async with Consuming(rabbitmq, queue, uri=uri, retry_timeout_ms=20) as consuming:
                await until(lambda: consuming.listed["state"] == "consuming")
                for number, size in enumerate(range(1, MOST_OF_A_LOGIN, 12)):
                    proxy.cut_after = size
                    proxy.reset()
                    await until(lambda: proxy.cut_after is None)
                    await publish_numbers(channel, queue, range(number, number + 1))
                    await until(lambda number=number: consuming.numbers.count(number))
                await until(lambda: consuming.listed["state"] == "consuming")

    @pytest.mark.parametrize("before", [0, 60])
    async def test_library_cancels_what_waits_for_a_silent_broker(self, rabbitmq, channel, queue, before):
        """A cancellation that the library raises by itself, when heartbeats are missing, does not end the consumer."""
        async with FaultProxy(rabbitmq.port) as proxy:
            uri = f"amqp://127.0.0.1:{proxy.port}/"
            options = {"heartbeat_s": 1, "login_timeout_ms": 60_000, "retry_timeout_ms": 20}
            async with Consuming(rabbitmq, queue, uri=uri, **options) as consuming:
                await until(lambda: consuming.listed["state"] == "consuming")
                login, proxy.sent = proxy.sent, 0
                proxy.hold_after = login - before
                proxy.reset()
                await until(lambda: proxy.hold_after is None)
                assert consuming.listed["state"] != "consuming"
                made = proxy.connections
                await until(lambda: proxy.connections > made)
                proxy.release()
                await publish_numbers(channel, queue, range(3))
                await until(lambda: consuming.numbers == [0, 1, 2])

    async def test_broker_is_away_at_the_start(self, rabbitmq, channel, queue):
        """The interface starts without the broker, and consumes when it answers."""
        async with FaultProxy(rabbitmq.port) as proxy:
            proxy.refuse()
            uri = f"amqp://127.0.0.1:{proxy.port}/"
            async with Consuming(rabbitmq, queue, uri=uri) as consuming:
                await until(lambda: consuming.listed["state"] == "refused")
                await proxy.open()
                await publish_numbers(channel, queue, range(3))
                await until(lambda: consuming.numbers == [0, 1, 2])

    async def test_queue_is_deleted(self, rabbitmq, channel, queue):
        """A queue that is deleted is noticed, and consumed again once it is back: the original never did."""
        name = f"{queue}.gone"
        await channel.queue_declare(name, durable=True)
        async with Consuming(rabbitmq, name, retry_timeout_ms=200) as consuming:
            await publish_numbers(channel, name, range(1))
            await until(lambda: consuming.numbers == [0])
            await channel.queue_delete(name)
            await until(lambda: consuming.listed["state"] == "no_such_queue")
            await channel.queue_declare(name, durable=True)
            await publish_numbers(channel, name, range(1, 2))
            await until(lambda: consuming.numbers == [0, 1])
        await channel.queue_delete(name)


async def test_declare(rabbitmq, channel, queue):
    """By option the queue is made when it is not there."""
    name = f"{queue}.made"
    async with Consuming(rabbitmq, name, declare=True) as consuming:
        await until(lambda: consuming.listed["state"] == "consuming")
        await publish_numbers(channel, name, range(1))
        await until(lambda: consuming.numbers == [0])
    assert await depth(channel, name) == 0
    await channel.queue_delete(name)


async def test_exclusive(rabbitmq, channel, queue):
    """An exclusive consumer keeps others out until it leaves."""
    async with Consuming(rabbitmq, queue, retry_timeout_ms=200) as second:
        await until(lambda: second.listed["state"] == "consuming")
        async with Consuming(rabbitmq, queue, exclusive=True, retry_timeout_ms=200) as first:
            await until(lambda: first.listed["state"] == "access_refused")
    async with Consuming(rabbitmq, queue, exclusive=True) as first:
        await until(lambda: first.listed["state"] == "consuming")
        async with Consuming(rabbitmq, queue, retry_timeout_ms=200) as second:
            await until(lambda: second.listed["state"] == "access_refused")


async def test_password(rabbitmq, channel, queue, tmp_path, caplog):
    """A password may be in a file, which is read at every login; a wrong one is in no log and no listing."""
    file = tmp_path / "password"
    file.write_text("sesame\n")
    async with Consuming(rabbitmq, queue, password_file=str(file), retry_timeout_ms=200) as consuming:
        await until(lambda: consuming.listed["state"] == "access_refused")
        assert "sesame" not in f"{caplog.text} {consuming.listed} {consuming.events.status}"
        file.write_text("guest\n")
        await publish_numbers(channel, queue, range(1))
        await until(lambda: consuming.numbers == [0])


async def test_tls(rabbitmq, channel, queue):
    """`amqps` wants a certificate that is trusted."""
    uri = f"amqps://localhost:{rabbitmq.tls_port}/"
    await publish_numbers(channel, queue, range(1))
    async with Consuming(rabbitmq, queue, uri=uri) as consuming:
        await until(lambda: consuming.listed["state"] == "tls")
    async with Consuming(rabbitmq, queue, uri=uri, ca_file=str(rabbitmq.certificate)) as consuming:
        await until(lambda: consuming.numbers == [0])


async def test_a_silent_broker_with_tls_is_tried_again(rabbitmq, queue):
    """A broker that says nothing, not even that TLS ends, takes the time of one login, and not that of many."""
    with SilentTls(rabbitmq.certificate, rabbitmq.folder / "certificate-key.pem") as silent:
        options = {"ca_file": str(rabbitmq.certificate), "connect_timeout_ms": 2000, "login_timeout_ms": 100}
        uri = f"amqps://localhost:{silent.port}/"
        async with Consuming(rabbitmq, queue, uri=uri, retry_timeout_ms=200, **options) as consuming:
            await until(lambda: silent.connections >= 2, timeout_s=25)
            assert consuming.listed["state"] == "login_timeout"


async def test_two_consumers_share_a_queue(rabbitmq, channel, queue):
    """Connections to one queue share its messages; each has its counters and its status."""
    uri = f"amqp://127.0.0.1:{rabbitmq.port}/"
    both = [ConnectionOptions(queue=queue, name=name, uri=uri, prefetch=10) for name in ("one", "two")]
    source = RabbitmqConsumer(Options(connections=both))
    async with Recorder({"rabbitmq-consumer": source}) as recorder:
        recorder.register_event("E_N")
        await until(lambda: all(each.listed()["state"] == "consuming" for each in source.consumers.values()))
        await publish_numbers(channel, queue, range(200))
        got = await recorder.wait_for(200, 20)
        assert_all([params["n"] for _, params in got], 200)
        await until(lambda: sum(each.listed()["acknowledged"] for each in source.consumers.values()) == 200)
        assert all(each.listed()["received"] for each in source.consumers.values())
        assert json.dumps(recorder.command("rabbitmq_consumer:list"))


HOSTILE = [
    '{"jsonrpc":"2.0","method":"E_N","params":{"\\ud83d":1}}',
    '{"jsonrpc":"2.0","method":"E_\\ud83d","params":{"n":1}}',
    '{"jsonrpc":"2.0","method":"E_N","params":' + "[" * 5000 + "]" * 5000 + "}",
    b"\xff\xfe\x00",
    "",
]


async def test_connections_are_those_of_aio_pika(rabbitmq, queue):
    """What connects is aio-pika, without its own way to connect again."""
    async with Consuming(rabbitmq, queue) as consuming:
        await until(lambda: consuming.listed["state"] == "consuming")
        (consumer,) = consuming.source.consumers.values()
        assert isinstance(consumer._session._connection, aio_pika.Connection)
        assert not isinstance(consumer._session._connection, aio_pika.RobustConnection)


async def test_no_message_takes_a_prefetch_slot_for_good(rabbitmq, channel, queue):
    """Whatever messages hold, each that cannot become an event is refused and counted, and its slot is free again."""
    async with Consuming(rabbitmq, queue, prefetch=2) as consuming:
        for number in range(5):
            await publish(channel, queue, *HOSTILE, NOTIFICATION % number)
        await until(lambda: consuming.numbers.count(4))
        listed = consuming.listed
        assert listed["raised"] + sum(listed["refused"].values()) == listed["received"] == 5 * (len(HOSTILE) + 1)
        assert listed["state"] == "consuming"


async def test_hostile_message_takes_no_slot(rabbitmq, channel, queue):
    """A message with a lone surrogate in a parameter's name, or other parameters that cannot be raised, is refused."""
    hostile = [
        '{"jsonrpc":"2.0","method":"E_N","params":{"\\ud83d":1}}',
        '{"jsonrpc":"2.0","method":"E_N","params":%s}' % ("[" * 300 + "]" * 300),
        '{"jsonrpc":"2.0","method":"E_N","params":{"n":"\\ud83d"}}',
    ]
    async with Consuming(rabbitmq, queue, prefetch=1) as consuming:
        await publish(channel, queue, *hostile)
        await publish_numbers(channel, queue, range(3))
        await until(lambda: consuming.numbers == [0, 1, 2], timeout_s=30)
        assert consuming.listed["refused"] == {"parameters": 3}
    assert await depth(channel, queue) == 0
    assert len(await drained(channel, f"{queue}.dead")) == 3
