"""Brokers that a real Kafka advertises at names and addresses which cannot, or must not, be connected to."""

import asyncio
import json

import pytest
from brokers.kafka import NAME
from brokers.proxy import FaultProxy
from brokers.topics import make_topic, records_in
from evframe_kafka import KafkaTransport, Options
from evframe_mi import Management, ManagementOptions
from evframe_mi import Options as MiOptions
from evframe_mi.testing import management

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import FakeNames, MemoryTransport, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def topic(kafka):
    """Return a topic of the test's own, at a Kafka with a listener that advertises a name."""
    if not hasattr(kafka, "named_port"):
        pytest.skip("the broker that is given has no listener that advertises a name")
    return await make_topic(kafka)


def interface(names, networks=None):
    config = Config(core=CoreOptions(drain_timeout_s=0.1))
    plugins = {
        "mi": Management(MiOptions(ManagementOptions(networks=networks))),
        "kafka": KafkaTransport(Options(connect_timeout_ms=2000)),
        "memory": MemoryTransport(),
    }
    events = evframe.EventInterface(config, plugins=plugins)
    events.resolver.lookup = names
    events.resolver.timeout_s = 0.2
    events.register_event("E_TEST")
    return events


def subscribe(events, socket):
    """Subscribe as a management client does, and return the subscriber."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "event_subscribe", "params": ["E_TEST", socket, 3600]}
    answer = json.loads(management(events).handle(json.dumps(request).encode()))
    assert answer["result"] == "OK", answer
    return next(each.subscriber for each in events.subscriptions if each.subscriber.socket.canonical == socket)


@pytest.mark.parametrize("addresses", [[], None], ids=["unknown", "silent"])
async def test_name_that_a_cluster_advertises_does_not_resolve(kafka, topic, addresses):
    """The subscriber is away as `unresolved`, and nothing else waits; once the name resolves, all of it arrives."""
    with FakeNames({NAME: addresses}) as names:
        async with interface(names) as events:
            other = events.subscribe_event("E_TEST", "memory:other").subscriber
            lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.named_port}/{topic}")
            for number in range(3):
                reports = asyncio.create_task(events.raise_event_and_wait("E_TEST", [number]))
                await until(lambda number=number: other.delivered == number + 1)  # before any name's time is over
                assert not reports.done()
            await until(lambda: lease.subscriber.away == "unresolved")
            assert (lease.subscriber.delivered, lease.subscriber.failed) == (0, 0)
            names[NAME] = ["127.0.0.1"]
            await until(lambda: lease.subscriber.delivered == 3)
    assert [json.loads(record.value)["params"] for record in await records_in(kafka, topic)] == [[0], [1], [2]]


async def test_broker_that_a_cluster_advertises_is_silent(kafka, topic):
    """A subscriber whose cluster advertises a broker that says nothing is away in a bounded time; others get their events."""
    async with FaultProxy(kafka.named_port, kafka.named_port, "127.0.0.2") as proxy:
        proxy.hold()
        with FakeNames({NAME: ["127.0.0.2"]}) as names:
            async with interface(names) as events:
                other = events.subscribe_event("E_TEST", "memory:other").subscriber
                lease = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.named_port}/{topic}")
                events.raise_event("E_TEST", [0])
                await until(lambda: proxy.connections)
                events.raise_event("E_TEST", [1])
                await until(lambda: other.delivered == 2)
                assert not lease.subscriber.delivered
                await until(lambda: lease.subscriber.away)
                assert lease.subscriber.away in {
                    "no_metadata",
                    "connect_timeout",
                    "refused",
                    "timeout",
                    "delivery_timeout",
                }
                proxy.release()
                await until(lambda: lease.subscriber.delivered == 2)


class TestNetworksOfClients:
    """The policy's `networks` hold for the brokers that a cluster of a run-time client advertises, too."""

    async def test_address(self, kafka, topic):
        """A cluster in a permitted network cannot have a connection made to an address in another one."""
        async with (
            FaultProxy(kafka.behind_proxy, kafka.proxy_port) as advertised,
            FaultProxy(kafka.behind_proxy, host="127.0.0.2") as permitted,
        ):
            with FakeNames() as names:
                async with interface(names, ["127.0.0.2/32"]) as events:
                    subscriber = subscribe(events, f"kafka:127.0.0.2:{permitted.port}/{topic}")
                    events.raise_event("E_TEST", [0])
                    await until(lambda: subscriber.away == "forbidden")
                    assert (permitted.connections > 0, advertised.connections) == (True, 0)
                    assert (subscriber.delivered, subscriber.failed) == (0, 0)

    async def test_name(self, kafka, topic):
        """A name that a cluster advertises is compared whenever it is resolved; permitted, it gets what has waited."""
        async with FaultProxy(kafka.named_port, kafka.named_port, "127.0.0.2") as advertised:
            with FakeNames({NAME: ["127.0.0.2"]}) as names:
                async with interface(names, ["127.0.0.1/32"]) as events:
                    subscriber = subscribe(events, f"kafka:127.0.0.1:{kafka.named_port}/{topic}")
                    events.raise_event("E_TEST", [0])
                    await until(lambda: subscriber.away == "forbidden")
                    assert (subscriber.delivered, advertised.connections) == (0, 0)
                    names[NAME] = ["127.0.0.2", "127.0.0.1"]
                    events.resolver.refresh_all()
                    await until(lambda: subscriber.delivered == 1)
                    assert advertised.connections == 0

    async def test_of_the_configuration(self, kafka, topic):
        """A cluster that the configuration subscribes may advertise any address, to clients that use it, too."""
        with FakeNames({NAME: ["127.0.0.2"]}) as names:
            async with (
                FaultProxy(kafka.named_port, kafka.named_port, "127.0.0.2") as advertised,
                interface(names, ["127.0.0.1/32"]) as events,
            ):
                cluster = f"kafka:127.0.0.1:{kafka.named_port}"
                events.subscribe_event("E_TEST", f"{cluster}/{topic}", configured=True)
                subscriber = subscribe(events, f"{cluster}/{topic}?key=k")
                events.raise_event("E_TEST", [0])
                await until(lambda: subscriber.delivered == 1)
                assert advertised.connections
