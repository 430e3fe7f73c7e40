"""The plugin against a real Mosquitto."""

import asyncio
import json
import signal
import sys
import uuid

import pytest
from brokers.messages import bodies_in, client
from brokers.mosquitto import PASSWORD, USER
from brokers.proxy import FaultProxy
from carried import PARENT, ByParameter
from evframe_mqtt import MqttTransport
from evframe_mqtt_consumer import ConnectionOptions, MqttConsumer, Options
from numbered import assert_all, assert_exactly, assert_in_order
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from silent import SilentTls

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import FakeNames, MemoryTransport, Recorder, SourceContract, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.2))
NAME = "server.mqtt.example"
NOTIFICATION = '{"jsonrpc":"2.0","method":"E_N","params":{"n":%d}}'
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def name():
    """Return the name of a topic, and of a session that subscribes it."""
    return f"t-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def publish(mosquitto, name):
    """Return what publishes bodies to the topic, in their order."""
    async with client(mosquitto) as sender:

        async def publish(*bodies, topic=name, qos=1, **options):
            for body in bodies:
                await sender.publish(topic, body, qos=qos, **options)

        yield publish


def numbers(*of):
    return [NOTIFICATION % number for number in range(*of)]


def plugin(mosquitto, name, **options):
    uri = options.pop("uri", f"mqtt://127.0.0.1:{mosquitto.port}")
    return MqttConsumer(Options([ConnectionOptions(**{"filters": [name], "client_id": name, "uri": uri, **options})]))


class Consuming:
    """An interface that consumes a session, with the numbers of `E_N` at its subscriber in memory."""

    def __init__(self, mosquitto, name, config=None, **options):
        self.memory = MemoryTransport()
        self.source = plugin(mosquitto, name, **options)
        self.events = evframe.EventInterface(config, plugins={"memory": self.memory, "mqtt-consumer": self.source})
        self.events.register_event("E_N")
        self.events.subscribe_event("E_N", "memory:a")

    @property
    def numbers(self):
        return [event.get("n") for event in self.memory.delivered.get("a", [])]

    @property
    def listed(self):
        return self.events.commands.find("mqtt_consumer:list").run({})["Connections"][0]

    async def state(self, wanted):
        await until(lambda: self.listed["state"] == wanted)

    async def __aenter__(self):
        await self.events.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.events.__aexit__(None, None, None)


async def connected(mosquitto, name, **options):
    """Make the session of a consumer, and leave it."""
    async with Consuming(mosquitto, name, **options) as consuming:
        await consuming.state("consuming")


class TestContract(SourceContract):
    """What every source does."""

    name = "mqtt-consumer"

    @pytest.fixture(autouse=True)
    def given(self, mosquitto, name, publish):
        self.mosquitto, self.topic, self.publish = mosquitto, name, publish

    def source(self):
        return plugin(self.mosquitto, self.topic, event="E_BODY", retained="always")

    async def provoke(self, recorder):
        await self.publish("hello", retain=True)


async def test_messages_become_events(mosquitto, name, publish):
    """A notification is the event that it names; any other body is a parameter, byte by byte, with its topic."""
    source = plugin(mosquitto, name, event="E_BODY", filters=[f"{name}/+"])
    async with Recorder({"mqtt-consumer": source}) as recorder:
        recorder.register_event("E_N")
        await until(lambda: source.consumers[name].listed()["state"] == "consuming")
        await publish("plain", b"\xff\x00", "", NOTIFICATION % 7, '{"n":1}', "x" * 300_000, topic=f"{name}/x")
        got = await recorder.wait_for(6, 20)
        await until(lambda: source.consumers[name].counts.acknowledged == 6)
    bodies = [params["body"] for event, params in got if event == "E_BODY"]
    assert bodies == ["plain", "\udcff\x00", "", '{"n":1}', "x" * 300_000]
    assert {params["topic"] for event, params in got if event == "E_BODY"} == {f"{name}/x"}
    assert ("E_N", {"n": 7}) in got


async def test_order_and_every_one_of_a_burst(mosquitto, name, publish):
    """What the session has kept, and what comes in a burst, all arrives once and in order."""
    await connected(mosquitto, name)
    await publish(*numbers(200))
    async with Consuming(mosquitto, name, receive_max=15) as consuming:
        await publish(*numbers(200, 1000))
        await until(lambda: consuming.listed["acknowledged"] == 1000)
        assert_exactly(consuming.numbers, 1000)
        assert consuming.listed == {
            "name": name,
            "server": f"mqtt://127.0.0.1:{mosquitto.port}",
            "client_id": name,
            "filters": [name],
            "state": "consuming",
            "received": 1000,
            "redelivered": 0,
            "dropped": 0,
            "raised": 1000,
            "refused": {},
            "waiting": 0,
            "retried": 0,
            "acknowledged": 1000,
        }
        status = consuming.events.status.group("mqtt-consumer").find(name)
        assert (status.status, status.details) == (1, "consuming")
    assert await bodies_in(mosquitto, name) == []


async def test_round_trip(mosquitto, name):
    """What one evframe publishes another one raises again, with the same bytes and its context."""
    sender = evframe.EventInterface(plugins={"mqtt": MqttTransport()})
    sender.register_event("E_N")
    sender.subscribe_event("E_N", f"mqtt://127.0.0.1:{mosquitto.port}/{name}/{{n}}?property.k={{n}}")
    async with sender, Consuming(mosquitto, name, filters=[f"{name}/#"]) as consuming:
        tracing = ByParameter()
        sender.trace_by(ByParameter())
        consuming.events.trace_by(tracing)
        await consuming.state("consuming")
        for number in range(500):
            sender.raise_event("E_N", {"n": number, "headers": {"traceparent": PARENT}})
        await until(lambda: consuming.listed["acknowledged"] == 500)
        assert_exactly(consuming.numbers, 500)
        assert tracing.within_headers[7] == {"k": "7", "traceparent": PARENT}
        payload = b'{"jsonrpc":"2.0","method":"E_N","params":{"n":7,"headers":{"traceparent":"%b"}}}' % PARENT.encode()
        assert consuming.memory.delivered["a"][7].payload == payload


async def test_large_messages_are_prepared_beside_the_loop(mosquitto, name, publish):
    """Large messages arrive in order among small ones; the loop reads none of them."""
    large = NOTIFICATION.replace("%d}", '%d,"v":"' + "x" * 20_000 + '"}')
    on_the_loop = set()

    def watch(frame, kind, _):
        if kind == "call" and frame.f_code.co_name == "read_notification":
            on_the_loop.add(len(frame.f_locals[frame.f_code.co_varnames[0]]))

    async with Consuming(mosquitto, name) as consuming:
        await consuming.state("consuming")
        sys.setprofile(watch)
        try:
            for number in range(0, 9, 3):
                await publish(NOTIFICATION % number, large % (number + 1), b" " * 10_000, NOTIFICATION % (number + 2))
            await until(lambda: consuming.listed["acknowledged"] == 12)
        finally:
            sys.setprofile(None)
        assert consuming.numbers == list(range(9))
        assert consuming.listed["refused"] == {"no_event": 3}
    assert on_the_loop
    assert max(on_the_loop) < 1000


async def test_acknowledged_with_the_outcome(mosquitto, name, publish):
    """A message is acknowledged when the slowest subscriber has its event; until then, `receive_max` bounds what comes."""
    gate = asyncio.Event()
    async with Consuming(mosquitto, name, receive_max=10) as consuming:
        consuming.memory.when("slow", lambda batch: gate.wait())
        consuming.events.subscribe_event("E_N", "memory:slow")
        await consuming.state("consuming")
        await publish(*numbers(25))
        await until(lambda: consuming.listed["waiting"] == 10)
        await asyncio.sleep(0.05)  # time for more, which does not come
        assert consuming.numbers == list(range(10))
        assert (consuming.listed["received"], consuming.listed["acknowledged"]) == (10, 0)
        gate.set()
        await until(lambda: consuming.listed["acknowledged"] == 25)


async def test_acknowledged_at_once(mosquitto, name, publish):
    """By option a message is acknowledged once its event is raised, whatever its outcome."""
    async with Consuming(mosquitto, name, QUICK_END, receive_max=10, ack="at_once") as consuming:
        consuming.memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
        await consuming.state("consuming")
        await publish(*numbers(25))
        await until(lambda: consuming.listed["acknowledged"] == 25)
    assert consuming.numbers == []
    assert await bodies_in(mosquitto, name) == []


async def test_what_is_published_without_acknowledgements_is_bounded(mosquitto, name, publish):
    """Messages of QoS 0 have no place at the server: those beyond `receive_max` are counted and dropped."""
    gate = asyncio.Event()
    async with Consuming(mosquitto, name, receive_max=10) as consuming:
        consuming.memory.when("a", lambda batch: gate.wait())
        await consuming.state("consuming")
        await publish(*numbers(25), qos=0)
        await until(lambda: consuming.listed["received"] == 25)
        assert (consuming.listed["waiting"], consuming.listed["dropped"]) == (10, 15)
        gate.set()
        await until(lambda: not consuming.listed["waiting"])
        assert consuming.listed["acknowledged"] == 0


async def test_what_is_raised_again_without_acknowledgements_is_bounded(mosquitto, name, publish):
    """Messages of QoS 0 whose events will be raised again count, too; those that a lost connection leaves are lost."""
    options = {"receive_max": 10, "on_failure": "retry", "retry_delay_ms": 300}
    async with FaultProxy(mosquitto.port) as proxy:
        async with Consuming(mosquitto, name, uri=f"mqtt://127.0.0.1:{proxy.port}", **options) as consuming:
            consuming.memory.when("a", refuse)
            await consuming.state("consuming")
            await publish(*numbers(100), qos=0)
            await until(lambda: consuming.listed["received"] == 100)
            assert consuming.listed["dropped"] == 90
            proxy.reset()
            await until(lambda: consuming.listed["dropped"] == 100)
            await consuming.state("consuming")
            await publish(*numbers(10), qos=0)
            await until(lambda: consuming.listed["received"] == 110)
            assert consuming.listed["dropped"] == 100


async def test_shutdown_in_the_middle(mosquitto, name, publish):
    """What has no outcome when the interface is left comes again, with what came behind it."""

    def third(batch):
        for index, event in enumerate(batch.events):
            if event["n"] < 5:
                batch.confirm(index)
                consuming.memory.delivered.setdefault("a", []).append(event)
        raise evframe.Unavailable("away")

    async with Consuming(mosquitto, name, QUICK_END, receive_max=15) as consuming:
        consuming.memory.when("a", third)
        await consuming.state("consuming")
        await publish(*numbers(30))
        await until(lambda: consuming.listed["acknowledged"] == 5)
    async with Consuming(mosquitto, name) as again:
        await until(lambda: again.listed["acknowledged"] == 25)
        assert again.numbers == list(range(5, 30))
        assert again.listed["redelivered"] >= 15


async def test_delivered_while_the_interface_is_left(mosquitto, name, publish):
    """An event that is delivered within the drain time is acknowledged, and does not come again."""
    gate = asyncio.Event()

    def later(batch):
        asyncio.get_running_loop().call_later(0.1, gate.set)
        return gate.wait()

    async with Consuming(mosquitto, name) as consuming:
        consuming.memory.when("a", later)
        await consuming.state("consuming")
        await publish(*numbers(15))
        await until(lambda: consuming.listed["received"] == 15)
    assert consuming.listed["acknowledged"] == 15
    assert await bodies_in(mosquitto, name) == []


def refuse(_):
    raise evframe.Rejected("refused")


@pytest.mark.parametrize(("body", "when"), [(NOTIFICATION % 1, refuse), ('{"jsonrpc":"2.0","method":"E_NO"}', None)])
async def test_what_is_not_delivered_is_acknowledged(mosquitto, name, publish, body, when):
    """By default a delivery that failed for good, or no subscriber, is an outcome like any other."""
    async with Consuming(mosquitto, name) as consuming:
        if when is not None:
            consuming.memory.when("a", when)
        await consuming.state("consuming")
        await publish(body)
        await until(lambda: consuming.listed["acknowledged"] == 1)


@pytest.mark.parametrize("size", [1, 20_000])
async def test_what_is_not_delivered_is_raised_again(mosquitto, name, publish, size):
    """By option the event is raised again, after a wait, until it is delivered; others pass it meanwhile."""
    attempts, loop = [], asyncio.get_running_loop()

    def third(batch):
        for index, event in enumerate(batch.events):
            if event["n"] == 0:
                attempts.append(loop.time())
                if len(attempts) < 3:
                    batch.fail(index, "refused")
                    continue
            consuming.memory.delivered.setdefault("a", []).append(event)
        return True

    options = {"on_failure": "retry", "on_nobody": "retry", "retry_delay_ms": 80}
    async with Consuming(mosquitto, name, **options) as consuming:
        consuming.memory.when("a", third)
        await consuming.state("consuming")
        await publish(NOTIFICATION.replace("%d", '0,"v":"' + "x" * size + '"'), *numbers(1, 5))
        await until(lambda: consuming.numbers == [1, 2, 3, 4])
        assert consuming.listed["acknowledged"] == 0  # in the order of the messages
        await until(lambda: consuming.listed["acknowledged"] == 5)
        assert (consuming.listed["retried"], consuming.numbers) == (2, [1, 2, 3, 4, 0])
        await publish('{"jsonrpc":"2.0","method":"E_NOBODY"}')
        await until(lambda: consuming.listed["retried"] == 4)
        consuming.events.subscribe_event("E_NOBODY", "memory:late")
        await until(lambda: consuming.listed["acknowledged"] == 6)
    assert min(attempts[1] - attempts[0], attempts[2] - attempts[1]) >= 0.07


HOSTILE = [
    '{"jsonrpc":"2.0","method":"E_N","params":{"\\ud83d":1}}',
    '{"jsonrpc":"2.0","method":"E_\\ud83d","params":{"n":1}}',
    '{"jsonrpc":"2.0","method":"E_CORE_LOG"}',
    '{"jsonrpc":"2.0","method":"E_N","params":' + "[" * 5000 + "]" * 5000 + "}",
    b"\xff\xfe\x00",
    "",
]


async def test_no_message_takes_a_place_for_good(mosquitto, name, publish):
    """Whatever messages hold, each that cannot become an event is refused and counted, and acknowledged."""
    async with Consuming(mosquitto, name, receive_max=2, events=["E_N"]) as consuming:
        await consuming.state("consuming")
        for number in range(5):
            await publish(*HOSTILE, NOTIFICATION % number)
        await until(lambda: consuming.listed["acknowledged"] == 35)
        listed = consuming.listed
        assert listed["raised"] + sum(listed["refused"].values()) == listed["received"] == 35
        assert (consuming.numbers, listed["state"]) == ([0, 1, 2, 3, 4], "consuming")


class TestSessions:
    """What the server keeps."""

    async def test_what_comes_while_the_gateway_is_away(self, mosquitto, name, publish):
        """The session keeps messages; `clean_start` has the server forget them, and a session that expires is gone."""
        await connected(mosquitto, name)
        await publish(*numbers(5))
        async with Consuming(mosquitto, name, session_expiry_s=0) as consuming:
            await until(lambda: consuming.listed["acknowledged"] == 5)
        await publish(*numbers(5, 10))
        async with Consuming(mosquitto, name) as consuming:
            await consuming.state("consuming")
            await publish(*numbers(10, 15))
            await until(lambda: consuming.numbers == list(range(10, 15)))
        await publish(*numbers(15, 20))
        async with Consuming(mosquitto, name, clean_start=True) as consuming:
            await consuming.state("consuming")
            await publish(*numbers(20, 25))
            await until(lambda: consuming.numbers == list(range(20, 25)))

    async def test_a_session_that_is_gone(self, mosquitto, name, publish, caplog):
        """When the server has not kept the session of a connection before, that is in the log."""
        async with FaultProxy(mosquitto.port) as proxy:
            uri = f"mqtt://127.0.0.1:{proxy.port}"
            async with Consuming(mosquitto, name, uri=uri) as consuming:
                await consuming.state("consuming")
                proxy.refuse()
                proxy.reset()
                async with client(mosquitto, name) as other:  # takes the session over, and ends it
                    properties = Properties(PacketTypes.DISCONNECT)
                    properties.SessionExpiryInterval = 0
                    other._client.disconnect(properties=properties)
                await proxy.open()
                await until(lambda: consuming.listed["state"] == "consuming")
                await until(lambda: any("not kept" in record.message for record in caplog.records))

    @pytest.mark.parametrize(("retained", "counts"), [("new", [1, 1]), ("always", [1, 2]), ("never", [0, 0])])
    async def test_retained_messages(self, mosquitto, name, publish, retained, counts):
        """Retained messages come with a subscription that is new, with each connection, or never."""
        await publish(NOTIFICATION % 0, retain=True)
        async with FaultProxy(mosquitto.port) as proxy:
            uri = f"mqtt://127.0.0.1:{proxy.port}"
            async with Consuming(mosquitto, name, uri=uri, retained=retained) as consuming:
                for part, count in enumerate(counts):
                    await consuming.state("consuming")
                    await publish(NOTIFICATION % (part + 1))
                    await until(lambda part=part: part + 1 in consuming.numbers)
                    assert consuming.numbers.count(0) == count
                    await until(lambda: not consuming.listed["waiting"])
                    connections = proxy.connections
                    proxy.reset()
                    await until(lambda connections=connections: proxy.connections > connections)

    async def test_two_gateways_share_messages(self, mosquitto, name, publish):
        """The sessions of a group share the messages of a filter."""
        uri, filters = f"mqtt://127.0.0.1:{mosquitto.port}", [f"$share/group/{name}"]
        both = [ConnectionOptions(filters, client_id=f"{name}-{each}", uri=uri) for each in ("one", "two")]
        source = MqttConsumer(Options(connections=both))
        async with Recorder({"mqtt-consumer": source}) as recorder:
            recorder.register_event("E_N")
            await until(lambda: all(each.listed()["state"] == "consuming" for each in source.consumers.values()))
            await publish(*numbers(200))
            got = await recorder.wait_for(200, 20)
            assert_all([params["n"] for _, params in got], 200)
            assert all(each.listed()["received"] for each in source.consumers.values())
            assert json.dumps(recorder.command("mqtt_consumer:list"))

    async def test_a_session_that_is_taken_over(self, mosquitto, name, publish):
        """A client with the same name ends the connection; it is made again, and its messages are taken."""
        async with Consuming(mosquitto, name, retry_timeout_ms=200) as consuming:
            await consuming.state("consuming")
            async with client(mosquitto, name):
                await until(lambda: consuming.listed["state"] in {"taken_over", "closed", "reset"})
                await consuming.state("consuming")
            await publish(*numbers(3))
            await until(lambda: consuming.numbers == [0, 1, 2])


class TestOutages:
    """Whatever happens to the connection, consuming continues and nothing is lost."""

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
    async def test_server_restarts(self, mosquitto, name, publish, how):
        """A server that ends and comes back is found again; what was not acknowledged comes again, in order."""
        gate = asyncio.Event()
        async with Consuming(mosquitto, name, receive_max=15) as consuming:
            consuming.memory.when("slow", lambda batch: gate.wait())
            consuming.events.subscribe_event("E_N", "memory:slow")
            await consuming.state("consuming")
            await publish(*numbers(300))
            await until(lambda: consuming.listed["waiting"] == 15)
            await asyncio.to_thread(mosquitto.save)
            await asyncio.to_thread(mosquitto.stop, how)
            await until(lambda: consuming.listed["state"] != "consuming")
            gate.set()
            await asyncio.to_thread(mosquitto.start)
            await until(lambda: consuming.listed["acknowledged"] == 300)
            assert_in_order(consuming.numbers, 300)
            assert len(consuming.numbers) == 315  # the first ones once more: no acknowledgement could reach the server
        assert await bodies_in(mosquitto, name) == []

    async def test_connection_resets(self, mosquitto, name, publish):
        """Resets in the middle of a load cost nothing but repetitions."""
        async with FaultProxy(mosquitto.port) as proxy:
            uri = f"mqtt://127.0.0.1:{proxy.port}"
            async with Consuming(mosquitto, name, uri=uri) as consuming:
                await consuming.state("consuming")
                for part in range(4):
                    await publish(*numbers(part * 250, part * 250 + 250))
                    await until(lambda part=part: len(set(consuming.numbers)) > part * 250 + 100)
                    proxy.reset()
                await until(lambda: len(set(consuming.numbers)) == 1000)
                assert_in_order(consuming.numbers, 1000)
                await consuming.state("consuming")
                await publish(*numbers(1000, 1001))
                await until(lambda: 1000 in consuming.numbers and not consuming.listed["waiting"])
        assert await bodies_in(mosquitto, name) == []

    async def test_what_is_lost_with_a_connection_is_bounded(self, mosquitto, name, publish):
        """A subscriber that is away for good gets no more than `receive_max` events, however often connections end."""
        async with FaultProxy(mosquitto.port) as proxy:
            uri = f"mqtt://127.0.0.1:{proxy.port}"
            async with Consuming(mosquitto, name, QUICK_END, uri=uri, receive_max=10) as consuming:
                consuming.memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
                await consuming.state("consuming")
                await publish(*numbers(30))
                await until(lambda: consuming.listed["waiting"] == 10)
                for _ in range(3):
                    proxy.reset()
                    await until(lambda: consuming.listed["state"] != "consuming")
                    await asyncio.sleep(0.2)  # time to come back, which it has no room for
                assert (consuming.listed["received"], consuming.listed["waiting"]) == (10, 10)
        assert len(await bodies_in(mosquitto, name)) == 30

    @pytest.mark.parametrize("how", ["hold", "stop"])
    async def test_silent_server(self, mosquitto, name, publish, how):
        """A server that says nothing, or whose process stands still, is left, and found again."""
        async with FaultProxy(mosquitto.port) as proxy:
            uri = f"mqtt://127.0.0.1:{proxy.port}"
            options = {"keepalive_s": 1, "login_timeout_ms": 500, "retry_timeout_ms": 200}
            async with Consuming(mosquitto, name, uri=uri, **options) as consuming:
                await consuming.state("consuming")
                await publish(*numbers(1))
                await until(lambda: consuming.numbers == [0])
                if how == "hold":
                    proxy.hold()
                else:
                    mosquitto.signal(signal.SIGSTOP)
                try:
                    await consuming.state("timeout")
                    await consuming.state("login_timeout")
                finally:
                    proxy.release()
                    mosquitto.signal(signal.SIGCONT)
                await publish(*numbers(1, 2))
                await until(lambda: set(consuming.numbers) == {0, 1})

    async def test_server_moves_to_another_address(self, mosquitto, name, publish):
        """When its name has another address, a consumer connects there; what had no outcome yet comes again."""
        with FakeNames({NAME: ["127.0.0.1"]}) as names:
            async with FaultProxy(mosquitto.port) as old, FaultProxy(mosquitto.port, old.port, "127.0.0.2") as new:
                consuming = Consuming(mosquitto, name, uri=f"mqtt://{NAME}:{old.port}", receive_max=15)
                consuming.events.resolver.lookup = names
                gate = asyncio.Event()
                consuming.memory.when("slow", lambda batch: gate.wait())
                consuming.events.subscribe_event("E_N", "memory:slow")
                async with consuming:
                    await consuming.state("consuming")
                    await publish(*numbers(100))
                    await until(lambda: consuming.listed["waiting"] == 15)
                    names[NAME] = ["127.0.0.2"]
                    consuming.events.resolver.refresh_all()
                    await consuming.state("moved")
                    assert new.connections == 0  # there is no room before these have their outcomes
                    gate.set()
                    await until(lambda: consuming.listed["acknowledged"] == 100)
                    assert (old.connections, new.connections) == (1, 1)
                    assert_in_order(consuming.numbers, 100)
                    assert (len(consuming.numbers), consuming.listed["redelivered"]) == (115, 15)

    async def test_connection_is_cut_at_every_step(self, mosquitto, name, publish):
        """Wherever a connection ends while it is made, consuming continues."""
        async with FaultProxy(mosquitto.port) as proxy:
            uri = f"mqtt://127.0.0.1:{proxy.port}"
            async with Consuming(mosquitto, name, uri=uri, retry_timeout_ms=20) as consuming:
                await consuming.state("consuming")
                for number, size in enumerate(range(1, 100, 12)):
                    proxy.cut_after = size
                    proxy.reset()
                    await publish(*numbers(number, number + 1))
                    await until(lambda number=number: consuming.numbers.count(number))
                await consuming.state("consuming")

    async def test_server_is_away_at_the_start(self, mosquitto, name, publish):
        """The interface starts without the server, and consumes when it answers."""
        async with FaultProxy(mosquitto.port) as proxy:
            proxy.refuse()
            async with Consuming(mosquitto, name, uri=f"mqtt://127.0.0.1:{proxy.port}") as consuming:
                await consuming.state("refused")
                await proxy.open()
                await consuming.state("consuming")
                await publish(*numbers(3))
                await until(lambda: consuming.numbers == [0, 1, 2])


async def test_password_and_tls(mosquitto, tmp_path, caplog):
    """A password may be in a file, which is read at every login; a wrong one is in no log; a certificate is checked."""
    file = tmp_path / "password"
    file.write_text("sesame\n")
    uri = f"mqtts://{USER}@localhost:{mosquitto.tls_port}"
    options = {"filters": ["own/#"], "retry_timeout_ms": 100, "password_file": str(file)}
    async with Consuming(mosquitto, "tls", uri=uri, **options) as consuming:
        await consuming.state("tls")
    options["ca_file"] = str(mosquitto.certificate)
    async with Consuming(mosquitto, "tls", uri=uri, **options) as consuming:
        await consuming.state("access_refused")
        assert "sesame" not in f"{caplog.text} {consuming.listed} {consuming.events.status}"
        file.unlink()
        await consuming.state("no_such_path")
        for unfit in (b"s\xff", b"x" * 70_000):
            file.write_bytes(unfit)
            await consuming.state("access_refused")
            file.unlink()
            await consuming.state("no_such_path")
        file.write_text(f"{PASSWORD}\n")
        await consuming.state("consuming")
        assert PASSWORD not in f"{caplog.text} {consuming.listed} {consuming.events.status}"


async def test_a_silent_server_with_tls_is_tried_again(mosquitto):
    """A server that says nothing, not even that TLS ends, takes the time of one login, and not that of many."""
    with SilentTls(mosquitto.certificate, mosquitto.folder / "certificate-key.pem") as silent:
        options = {"ca_file": str(mosquitto.certificate), "connect_timeout_ms": 2000, "login_timeout_ms": 100}
        uri = f"mqtts://localhost:{silent.port}"
        async with Consuming(mosquitto, "silent", uri=uri, retry_timeout_ms=200, **options) as consuming:
            await until(lambda: silent.connections >= 2, timeout_s=25)
            assert consuming.listed["state"] == "login_timeout"


async def test_a_session_that_another_client_has_left(mosquitto, name, publish):
    """What the server has kept with QoS 2 for the session of another client is acknowledged as that demands."""
    async with client(mosquitto, name) as other:
        await other.subscribe(name, qos=2)
    await publish(*numbers(20), qos=2)
    async with Consuming(mosquitto, name) as consuming:
        await until(lambda: consuming.listed["acknowledged"] == 20)
        await publish(*numbers(20, 40), qos=2)
        await until(lambda: consuming.listed["acknowledged"] == 40)
        assert consuming.listed["state"] == "consuming"
    assert_exactly(consuming.numbers, 40)
    assert consuming.listed["redelivered"] == 0
    assert await bodies_in(mosquitto, name) == []
