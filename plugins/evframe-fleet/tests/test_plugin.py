"""Gateways as one, on a real Kafka: leases that all have, events that arrive once, and partitions that move."""

import asyncio
import json
import time
import urllib.error
import urllib.request
import uuid
from contextlib import asynccontextmanager
from zlib import crc32

import attrs
import pytest
from aiokafka import AIOKafkaProducer
from brokers.proxy import FaultProxy
from evframe_datagram import DatagramTransport
from evframe_fleet import FleetPlugin, Options
from evframe_fleet.warming import warm_up
from evframe_metrics import Metrics
from evframe_metrics import Options as Site
from evframe_mi import Management
from evframe_mi.testing import ANY_SCHEME, management

import evframe
from evframe.config import Config, CoreOptions, SubscriptionOptions
from evframe.plugin import CommandError
from evframe.testing import MemoryTransport, until

pytestmark = pytest.mark.timeout(120)


class Gateways:
    """Gateways of one fleet in this process."""

    def __init__(self, port, **tuning):
        run = uuid.uuid4().hex
        topics = {"group_id": run, "leases_topic": f"leases.{run}", "events_topic": f"events.{run}"}
        quick = {"replication_factor": 1, "partitions": 8, "heartbeat_interval_ms": 100, "margin_ms": 500}
        self.options = Options(brokers=f"127.0.0.1:{port}", **topics, **{**quick, "lease_grace_ms": 200, **tuning})
        self.transports = []

    @asynccontextmanager
    async def one(self, *subscriptions, early=(), connect=None, others=None, **changed):
        """Run a gateway; *connect* gets the batches of `a`.

        Sockets in *early* are subscribed before it runs; *others* are more plugins.
        """
        memory = MemoryTransport()
        memory.when("a", connect)
        self.transports.append(memory)
        config = Config(core=CoreOptions(drain_timeout_s=3), subscriptions=list(subscriptions))
        plugins = {
            "memory": memory,
            "mi": Management(ANY_SCHEME),
            **(others or {}),
            "fleet": FleetPlugin(attrs.evolve(self.options, **changed)),
        }
        events = evframe.EventInterface(config, plugins=plugins)
        events.register_event("E_A", {"n": int})
        for socket in early:
            await asyncio.to_thread(events.subscribe_event, "E_A", socket)  # where there is no loop
        async with events:
            yield events

    def got(self, name):
        """Return the numbers that the subscriber called *name* has got, at any gateway."""
        return [event.pairs[0][1] for each in self.transports for event in each.delivered.get(name, ())]


@pytest.fixture
def gateways(kafka):
    return Gateways(kafka.port)


async def ask(events, method, **params):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.loads(await management(events).submit(json.dumps(request).encode(), method))


async def joined(*gateways):
    """Wait until the partitions are divided among *gateways*, and each is delivered by one of them."""

    async def is_done():
        found = [(await ask(each, "fleet:status"))["result"] for each in gateways]
        mine = [next((m["partitions"] for m in f["Members"] if m["name"] == f["Name"]), []) for f in found]
        return all(mine) and sorted(number for each in mine for number in each) == list(range(8))

    while not await is_done():
        await asyncio.sleep(0.02)


def counters(events):
    return next(group for group in events.plugins.statistics() if group.name == "fleet").counters


def names(events):
    return sorted(lease.subscriber.socket.name for lease in events.subscriptions)


async def test_a_subscription_is_that_of_all_gateways(gateways):
    """What is subscribed, renewed and ended at one gateway is so at all, when the client has its answer or soon after."""
    async with gateways.one() as one, gateways.one() as two:
        assert (await ask(one, "event_subscribe", event="E_A", socket="memory:a", expire=100))["result"] == "OK"
        answered = time.monotonic()
        await until(lambda: names(two) == ["a"])
        assert time.monotonic() - answered < 2
        assert (await ask(two, "event_subscribe", event="E_A", socket="memory:a", expire=1000))["result"] == "OK"
        await until(lambda: one.remaining_s(one.subscriptions[0]) > 900)
        assert one.subscriptions[0].expire_s == 1000
        assert (await ask(one, "event_subscribe", event="E_A", socket="memory:a", expire=0))["result"] == "OK"
        await until(lambda: not two.subscriptions)
        async with gateways.one() as three:
            assert three.subscriptions == []


async def test_a_lease_ends_everywhere_by_the_clock_of_its_owner(gateways):
    """A lease that no client renews ends at all gateways, and one that any gateway has renewed stays."""
    async with gateways.one() as one, gateways.one() as two:
        await ask(one, "event_subscribe", event="E_A", socket="memory:a", expire=1)
        await ask(one, "event_subscribe", event="E_A", socket="memory:b", expire=1)
        await ask(two, "event_subscribe", event="E_A", socket="memory:b", expire=1000)
        await until(lambda: names(one) == names(two) == ["b"])


async def test_a_new_gateway_has_the_leases_before_it_raises(gateways):
    """A gateway that is entered knows all subscriptions, also those of an unregistered event, so that none lacks events."""
    async with gateways.one() as one:
        one.register_event("E_ONLY_THERE")
        for number in range(50):
            await ask(one, "event_subscribe", event="E_ONLY_THERE", socket=f"memory:a{number}", expire=100)
        async with gateways.one() as two:
            two.raise_event("E_ONLY_THERE", {"n": 1})
            await until(lambda: all(gateways.got(f"a{number}") == [1] for number in range(50)))


async def test_each_event_arrives_once_wherever_it_is_raised(gateways):
    """Events that are raised at all gateways arrive once, in the order of each gateway, also while members come and go."""
    async with gateways.one() as one:
        for number in range(20):
            await ask(one, "event_subscribe", event="E_A", socket=f"memory:s{number}", expire=100)
        async with gateways.one() as two:
            await joined(one, two)
            for number in range(500):
                (one, two)[number % 2].raise_event("E_A", {"n": number})
                if number % 50 == 0:
                    await asyncio.sleep(0.01)
            outcomes = await two.raise_event_and_wait("E_A", {"n": 500}, until="stored")
            assert [outcome.reason for outcome in outcomes] == ["stored"] * 20
            await until(lambda: all(len(gateways.got(f"s{number}")) >= 501 for number in range(20)))
            assert {len(transport.delivered) for transport in gateways.transports} != {0, 20}  # both have delivered
        one.raise_event("E_A", {"n": 501})
        await until(lambda: all(501 in gateways.got(f"s{number}") for number in range(20)))
    for number in range(20):
        got = gateways.got(f"s{number}")
        got = list(dict.fromkeys(got))  # a slow hand-over may repeat some
        assert sorted(got) == list(range(502))
        assert [n for n in got if n % 2 == 0 and n < 500] == list(range(0, 500, 2))
        assert [n for n in got if n % 2 == 1 and n < 500] == list(range(1, 500, 2))


async def test_a_gateway_connects_before_it_takes_over(gateways):
    """What takes long with the first batch, such as the import of a library, is done while others still deliver."""
    begun, is_connected = asyncio.Event(), asyncio.Event()

    async def connect(_):
        begun.set()
        await is_connected.wait()

    async with gateways.one() as one:
        await joined(one)
        await ask(one, "event_subscribe", event="E_A", socket="memory:a", expire=100)
        async with gateways.one(connect=connect) as two:
            await begun.wait()
            found = (await ask(one, "fleet:status"))["result"]
            assert [len(each["partitions"]) for each in found["Members"] if each["name"] == found["Name"]] == [8]
            is_connected.set()
            await joined(one, two)
            listed = (await ask(two, "subscribers_list", event="E_A"))["result"]["Event"]["Subscribers"]
            assert [each["state"] for each in listed] == ["unknown"]


async def test_a_subscriber_that_is_away_is_not_back_before_a_delivery():
    """What a gateway does before it takes over says nothing about a peer that could not be reached."""

    class Looking:
        @evframe.hookimpl
        def loaded(self, context):
            self.context = context

    memory, looking = MemoryTransport(), Looking()
    async with evframe.EventInterface(plugins={"memory": memory, "looking": looking}) as events:
        events.register_event("E_A")
        away = events.subscribe_event("E_A", "memory:away").subscriber
        events.subscribe_event("E_A", "memory:near")
        away.mirror(0, "refused")
        await warm_up(looking.context)
        assert away.away == "refused"
        assert list(memory.delivered) == ["near"]


async def test_a_subscriber_that_is_away_is_served_by_the_next_owner(gateways):
    """Events for a peer that is away outlive the gateway that has them, and hold nothing else up."""

    def is_away(_):
        raise evframe.Unavailable("refused")

    async with gateways.one() as one:
        gateways.transports[0].when("gone", is_away)
        await ask(one, "event_subscribe", event="E_A", socket="memory:gone", expire=100)
        await ask(one, "event_subscribe", event="E_A", socket="memory:well", expire=100)
        for number in range(20):
            one.raise_event("E_A", {"n": number})
        await until(lambda: gateways.got("well") == list(range(20)))
        await until(lambda: one.statistics[1].away == "refused" or one.statistics[0].away == "refused")
    assert gateways.got("gone") == []
    async with gateways.one() as two:
        await until(lambda: set(gateways.got("gone")) == set(range(20)))
        assert set(gateways.got("well")) == set(range(20))
        assert names(two) == ["gone", "well"]


async def test_a_listing_names_the_owner_and_the_state_that_it_knows(gateways):
    """Who lists at any gateway finds the one to ask; one that has given a partition up says nothing of its subscribers."""

    def is_away(_):
        raise evframe.Unavailable("refused")

    async def listed(gateway):
        found = (await ask(gateway, "subscribers_list", event="E_A"))["result"]["Event"]["Subscribers"]
        return {each["socket"]: each for each in found}

    async def named(gateway):
        return (await ask(gateway, "fleet:status"))["result"]["Name"]

    async with gateways.one() as one:
        for number in range(12):
            gateways.transports[0].when(f"gone{number}", is_away)
            await ask(one, "event_subscribe", event="E_A", socket=f"memory:gone{number}", expire=100)
        one.raise_event("E_A", {"n": 1})
        mine = await named(one)
        while [(each["state"], each["Owner"]) for each in (await listed(one)).values()] != [("away", mine)] * 12:
            await asyncio.sleep(0.02)
        async with gateways.one() as two:
            await joined(one, two)
            found = await listed(two)
            owners = {socket: each["Owner"] for socket, each in found.items()}
            assert set(owners.values()) == {mine, await named(two)}
            assert all(each.get("Behind") for each in found.values() if each["Owner"] == mine)
            expected = {socket: "away" if owner == mine else "unknown" for socket, owner in owners.items()}
            while {socket: each["state"] for socket, each in (await listed(one)).items()} != expected:
                await asyncio.sleep(0.02)


async def test_local_events_stay(kafka):
    """Events that `local` names, and subscriptions to them, are those of one gateway."""
    gateways = Gateways(kafka.port, local=["E_L*"])
    async with gateways.one() as one, gateways.one() as two:
        one.register_event("E_LOCAL", {"n": int})
        await ask(one, "event_subscribe", event="E_LOCAL", socket="memory:a", expire=100)
        await ask(one, "event_subscribe", event="E_A", socket="memory:b", expire=100)
        await until(lambda: names(two) == ["b"])
        assert (await one.raise_event_and_wait("E_LOCAL", {"n": 1}))[0].delivered
        assert gateways.transports[0].delivered["a"][0].pairs == (("n", 1),)
        frames = (await ask(one, "fleet:status"))["result"]["Partitions"]
        assert sum(each["lag_frames"] for each in frames) == 0


async def test_an_event_that_becomes_local_keeps_its_subscribers(gateways):
    """Subscriptions of the fleet are had by a gateway with the event as a local one until they end there."""
    async with gateways.one() as one, gateways.one(local=["E_A"]) as two:
        for name, expire in (("a", 1), ("b", 1000), ("c", 1000)):
            await ask(one, "event_subscribe", event="E_A", socket=f"memory:{name}", expire=expire)
        await until(lambda: names(two) == ["a", "b", "c"])
        for name, expire in (("a", 1000), ("b", 0)):
            await ask(two, "event_subscribe", event="E_A", socket=f"memory:{name}", expire=expire)
        await until(lambda: names(one) == ["c"])  # the time of a is over there
        assert names(two) == ["a", "c"]
        two.raise_event("E_A", {"n": 1})
        await until(lambda: gateways.transports[1].delivered.keys() == {"a", "c"})
        await ask(one, "event_subscribe", event="E_A", socket="memory:a", expire=1)  # of no concern to the other one
        await until(lambda: names(one) == ["a", "c"])
        await until(lambda: names(one) == ["c"])
        assert names(two) == ["a", "c"]
        await ask(one, "event_subscribe", event="E_A", socket="memory:c", expire=0)
        await until(lambda: names(two) == ["a"])


async def test_configured_subscriptions_are_held_by_each_configuration(gateways):
    """A configured subscription is had by all gateways with it, and a gateway that ends takes none of them away."""
    configured = SubscriptionOptions(event="E_A", socket="memory:c")
    async with gateways.one(configured) as one:
        async with gateways.one(configured) as two:
            await joined(one, two)
            two.raise_event("E_A", {"n": 1})
            await until(lambda: gateways.got("c") == [1])
        one.raise_event("E_A", {"n": 2})
        await until(lambda: sorted(gateways.got("c")) == [1, 2])  # each at the gateway that had the partition
        assert names(one) == ["c"]


async def test_a_configured_subscription_is_not_ended_elsewhere(gateways):
    """A gateway without it in its files may end it for a client; the one that has it there writes it again."""
    configured = SubscriptionOptions(event="E_A", socket="memory:c")
    async with gateways.one(configured) as one, gateways.one() as two:
        await until(lambda: names(two) == ["c"])
        lease = two.subscriptions[0]
        assert "result" in await ask(two, "event_subscribe", event="E_A", socket="memory:c", expire=0)
        await until(lambda: names(two) == ["c"] and two.subscriptions[0] is not lease)
        assert names(one) == ["c"]


async def test_a_configured_subscription_with_a_time_ends(gateways):
    """A time in the configuration is that of a subscription in a fleet, too, though each gateway holds it."""
    configured = [SubscriptionOptions(event="E_A", socket=f"memory:{n}", expire_s=n) for n in (1, 1000)]
    async with gateways.one(*configured) as one, gateways.one(*configured) as two:
        await until(lambda: names(one) == names(two) == ["1000"])


@attrs.frozen
class StrangeSocket:
    canonical: str
    expires: bool = True


async def test_a_lease_that_another_gateway_cannot_have_is_reported(gateways, caplog):
    """A subscription with a scheme that a gateway lacks is an error of its log, counted, and had by the others."""

    class Strange(MemoryTransport):
        schemes = ("strange",)

        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return StrangeSocket(f"strange:{rest}") if scheme == "strange" else None

    async with gateways.one() as one, gateways.one() as two:
        two.plugins.register(Strange(), "strange")
        two.subscribe_event("E_A", "strange:x", 100)
        await until(lambda: "a subscription of another gateway cannot be had here" in caplog.text)
        assert counters(one)["refused_leases"] == 1


async def test_a_socket_that_is_no_text_is_that_of_all_gateways(gateways):
    """A path with bytes that are no UTF-8 is subscribed at all gateways as it was at the first one."""
    socket = "unix:/nowhere/peer\udcff"
    async with gateways.one() as one, gateways.one() as two:
        for each in (one, two):
            each.plugins.register(DatagramTransport(), "datagram")
        one.subscribe_event("E_A", socket, 100)
        await until(lambda: [lease.subscriber.socket.canonical for lease in two.subscriptions] == [socket])


async def test_records_of_others_are_left_alone(gateways, kafka, caplog):
    """Records of both topics that no gateway has written stop none, and what they have replaced is written again."""
    options = gateways.options
    async with gateways.one() as one, gateways.one() as two:
        await joined(one, two)
        assert (await ask(one, "event_subscribe", event="E_A", socket="memory:a", expire=100))["result"] == "OK"
        async with AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{kafka.port}") as producer:
            garbage = (b"", b"{", b"7", b'{"v":1}', b'{"o":[9,"x"],"at":1}')
            keys = [b"x", b"[]", b'["lease","E_A","memory:a"]', b'["owner",0]', b'["front",99]', b'["behind",1,"x"]']
            for key in keys:
                for value in garbage:
                    await producer.send_and_wait(options.leases_topic, value, key=key)
            text = b'{"w":"w","p":0,"q":1,"k":0,"s":[],"n":[],"t":0,"d":[0],"x":[7],"z":[0]}'
            whole = b"evf\x01" + len(text).to_bytes(4, "little") + crc32(text, len(text)).to_bytes(4, "little") + text
            for partition in range(8):
                for value in (b"", b"evf\x02" + bytes(20), b"x" * 100, whole, None):
                    await producer.send_and_wait(options.events_topic, value, key=b"x", partition=partition)
        for number, each in enumerate((one, two)):
            assert (await ask(each, "event_subscribe", event="E_A", socket=f"memory:b{number}", expire=9))["result"]
            each.raise_event("E_A", {"n": number})
            await until(lambda number=number: number in gateways.got("a"))
        await until(lambda: sum(counters(each)["lost_damaged"] for each in (one, two)) >= 40)
        assert all(counters(each)["damaged_records"] >= 20 for each in (one, two))
        async with gateways.one() as three:
            await until(lambda: names(three) == ["a", "b0", "b1"])
            await joined(one, two, three)
            three.raise_event("E_A", {"n": 2})
            await until(lambda: 2 in gateways.got("a"))
    assert "the leases topic has a record that is none of this fleet" in caplog.text
    assert "the fleet has a fault" not in caplog.text


async def test_a_clock_that_is_ahead_is_a_warning(gateways, kafka, caplog):
    """The line of the log names the gateway, and by how many seconds its clock is ahead."""
    said = "the clocks of gateways differ, and subscriptions end too early or too late"
    async with gateways.one() as one, AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{kafka.port}") as producer:
        await joined(one)
        record = {"name": "other", "at": time.time() + 60, "partitions": []}
        topic = gateways.options.leases_topic
        await producer.send_and_wait(topic, json.dumps(record).encode(), key=b'["member","other-1"]', partition=0)
        await until(lambda: said in caplog.text)
        (line,) = (each for each in caplog.records if each.message == said)
        assert line.ahead_s == {"other-1": pytest.approx(60, abs=5)}


async def test_a_subscription_before_the_start_is_that_of_all_gateways(gateways):
    """What a program subscribes before it enters the interface is written when there is a loop, and gets its events."""
    async with gateways.one() as one, gateways.one(early=["memory:a"]) as two:
        await until(lambda: names(one) == ["a"])
        two.raise_event("E_A", {"n": 1})
        await until(lambda: gateways.got("a") == [1])


async def test_another_events_topic_begins_anew(gateways):
    """What was delivered of one topic says nothing about the next one: its first events arrive, too."""
    async with gateways.one() as one:
        await ask(one, "event_subscribe", event="E_A", socket="memory:a", expire=100)
        for number in range(5):
            await one.raise_event_and_wait("E_A", {"n": number}, until="stored")
        await until(lambda: gateways.got("a") == list(range(5)))
    async with gateways.one(events_topic=f"{gateways.options.events_topic}.next", partitions=4) as two:
        assert names(two) == ["a"]
        two.raise_event("E_A", {"n": 5})
        await until(lambda: 5 in gateways.got("a"))
        found = counters(two)
        assert found["damaged_records"] == 0


async def test_without_brokers_there_is_no_fleet():
    """The plugin that is installed and not configured changes nothing."""
    plugins = {"memory": MemoryTransport(), "mi": Management(ANY_SCHEME), "fleet": FleetPlugin()}
    async with evframe.EventInterface(plugins=plugins) as events:
        events.register_event("E_A", {"n": int})
        events.subscribe_event("E_A", "memory:a")
        assert (await events.raise_event_and_wait("E_A", {"n": 1}))[0].delivered
        assert (await ask(events, "fleet:status"))["error"]["code"] == 404
        with pytest.raises(CommandError):
            events.commands.find("fleet:status").run({})


async def test_without_a_cluster_a_gateway_starts_and_loses_nothing_silently(caplog):
    """A gateway starts without the cluster after its time, says so, and counts what it could not hand over."""
    gateways = Gateways(1, start_timeout_ms=50, retry_timeout_ms=20, memory_bytes=1 << 20)
    async with gateways.one() as one:
        assert "the gateway starts without the subscriptions of the fleet" in caplog.text
        error = asyncio.ensure_future(ask(one, "event_subscribe", event="E_A", socket="memory:a", expire=100))
        await until(lambda: names(one) == ["a"])
        one.raise_event("E_A", {"n": 1})
        await asyncio.sleep(0)
        assert one.statistics[0].depth == 1
        await until(lambda: one.status.group("fleet").find("brokers").details == "refused")
        error.cancel()
        await asyncio.wait((error,))
        subscriber = one.subscriptions[0].subscriber
    assert (subscriber.raised, subscriber.failed, subscriber.reasons) == (1, 1, {"shutdown": 1})


async def test_a_gateway_is_ready_when_it_is_a_member(kafka):
    """A load balancer sends a gateway nothing before, such as while its brokers are away."""
    metrics = Metrics(Site(bind="127.0.0.1:0"))
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy:
        proxy.refuse()
        gateways = Gateways(proxy.port, start_timeout_ms=0, retry_timeout_ms=100)
        async with gateways.one(others={"metrics": metrics}) as one:
            brokers = one.status.group("fleet").find("brokers")
            await until(lambda: brokers.details == "refused")
            assert await readiness(metrics) == (503, b"fleet/brokers is not ready: refused\n")
            await proxy.open()
            await until(lambda: brokers.ready)
            assert await readiness(metrics) == (200, b"ready\n")


async def readiness(metrics):
    """Return the answer of a gateway to a load balancer."""

    def get():
        try:
            with urllib.request.urlopen("http://{}:{}/readyz".format(*metrics.address)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    return await asyncio.to_thread(get)


def test_options_that_do_not_fit_are_refused():
    """Options that contradict each other, and properties that the fleet sets, are errors that name them."""
    for options, problem in (
        ({"brokers": "a:b:c"}, "brokers: expected brokers as host"),
        ({"events_topic": "evframe.leases"}, "events_topic: expected another topic than leases_topic"),
        ({"heartbeat_interval_ms": 1501}, "heartbeat_interval_ms: expected 1 to a quarter of session_timeout_ms, 1500"),
        ({"margin_ms": 100}, "margin_ms: expected 500, twice heartbeat_interval_ms, to 3000"),
        ({"properties": {"session.timeout.ms": 1}}, "expected the option session_timeout_ms"),
        ({"properties": {"socket.timeout.ms": 1}}, "expected the option connect_timeout_ms"),
        ({"properties": {"group.instance.id": "x"}}, "the fleet sets it"),
        ({"properties": {"fetch.wait.max.ms": 1}}, "the fleet sets it"),
        ({"properties": {"max.partition.fetch.bytes": 1}}, "the fleet sets it"),
        ({"properties": {"no.such": "x"}}, "expected a property that is known"),
    ):
        with pytest.raises(ValueError, match=problem):
            Options(**options)
