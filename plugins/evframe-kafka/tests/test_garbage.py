"""What the transport leaves behind."""

import pytest
from brokers.proxy import FaultProxy
from brokers.topics import make_topic
from evframe_kafka import KafkaTransport, Options

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import no_garbage, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))
pytestmark = pytest.mark.timeout(120)


def interface():
    options = Options(connect_timeout_ms=500, delivery_timeout_ms=500)
    events = evframe.EventInterface(QUICK_END, plugins={"kafka": KafkaTransport(options)})
    events.register_event("E_TEST")
    return events


async def nothing_is_connected(events):
    """Wait until the transport has no producer any more."""
    plugin = events.plugin("kafka")
    await until(lambda: not plugin._clusters and not plugin._closing)


async def test_subscribers_leave_no_garbage(kafka):
    """A subscriber that has ended, whether its brokers were there or not, leaves nothing to the cyclic collector."""
    topic = await make_topic(kafka, **{"max.message.bytes": "2000"})
    events = interface()
    async with events, FaultProxy(kafka.port) as silent:
        silent.hold()
        base = f"kafka:127.0.0.1:{kafka.port}/"
        sockets = [
            f"{base}{topic}",
            f"{base}{topic}?g.enable.idempotence=true",
            f"{base}no-such-topic",
            f"{base}{topic}?partition=7",
            "kafka:127.0.0.1:1/refused",
            f"kafka:127.0.0.1:{silent.port}/silent",
            f"{base}{topic}?key={{1}}&header.x={{2}}",
            f"{base}{topic[:-1]}{{2}}",
            f"{base}{topic[:-1]}{{2}}?g.enable.idempotence=true",
            f"{base}no-such-{{1}}",
            "kafka:127.0.0.1:1/{1}",
            f"kafka:127.0.0.1:{silent.port}/{{1}}",
        ]

        async def once():
            for text in sockets:
                lease = events.subscribe_event("E_TEST", text)
                for size in (10, 5000, 10):
                    events.raise_event("E_TEST", ["x" * size, topic[-1]])
                await until(lambda lease=lease: lease.subscriber.attempts or not lease.subscriber.depth)
                events.unsubscribe_event("E_TEST", text)
            del lease
            await nothing_is_connected(events)

        await once()
        with no_garbage():
            for _ in range(3):
                await once()


async def test_a_way_that_is_cut_leaves_no_garbage(kafka):
    """An error of a connection that was there, and a name that does not resolve, are in no cycle with their tracebacks."""
    if not hasattr(kafka, "proxy_port"):
        pytest.skip("the broker that is given has no listener behind a proxy")
    topic = await make_topic(kafka)
    events = interface()
    async with events, FaultProxy(kafka.behind_proxy, kafka.proxy_port) as way:

        async def once():
            for text in (f"kafka:127.0.0.1:{way.port}/{topic}", f"kafka:no-such-name.invalid:9092/{topic}"):
                lease = events.subscribe_event("E_TEST", text)
                if "invalid" not in text:
                    assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
                    way.hold()
                events.raise_event("E_TEST", [1])
                await until(lambda lease=lease: lease.subscriber.attempts)
                way.release()
                events.unsubscribe_event("E_TEST", text)
            del lease
            await nothing_is_connected(events)

        await once()
        with no_garbage():
            await once()
