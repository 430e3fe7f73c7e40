"""The transport against a real RabbitMQ."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from brokers.proxy import FaultProxy
from brokers.queues import channel_of
from evframe_rabbitmq import Options, RabbitmqTransport

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import Peer, TransportContract, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))
pytestmark = pytest.mark.timeout(120)


def interface(config=None, **options):
    events = evframe.EventInterface(config, plugins={"rabbitmq": RabbitmqTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


@pytest.fixture
async def queue(rabbitmq):
    """Return a queue of the test's own."""
    async with channel_of(rabbitmq) as channel:
        queue = await channel.declare_queue(exclusive=True)
        yield queue


async def take(queue, count):
    got = []
    async with asyncio.timeout(60), queue.iterator(no_ack=True) as messages:
        async for message in messages:
            got.append(message)
            if len(got) == count:
                return got


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = ("rabbitmq:", "rabbitmq:h", "rabbitmq:h/foo=1?rk", "rabbitmq:h/tls?rk")

    @pytest.fixture(autouse=True)
    def broker(self, rabbitmq, queue):
        self.rabbitmq, self.queue = rabbitmq, queue

    def transport(self):
        return RabbitmqTransport()

    @asynccontextmanager
    async def peer(self):
        async def receive(count):
            return [message.body for message in await take(self.queue, count)]

        yield Peer(f"rabbitmq:127.0.0.1:{self.rabbitmq.port}/{self.queue.name}", receive)


async def test_body_and_properties_r4_r5_r9(rabbitmq, queue):
    """R4, R5, R9: the body is the payload and nothing else; properties are those of the socket alone."""
    async with interface() as events:
        base = f"rabbitmq:127.0.0.1:{rabbitmq.port}/"
        events.subscribe_event("E_TEST", f"{base}{queue.name}")
        await events.raise_event_and_wait("E_TEST", {"s": "hello"})
        events.unsubscribe_event("E_TEST", f"{base}{queue.name}")
        params = "persistent;content_type=application/json;expiration_ms=60000;message_id;header.source=evframe"
        events.subscribe_event("E_TEST", f"{base}{params}?{queue.name}")
        await events.raise_event_and_wait("E_TEST", ["x"])
        plain, full = await take(queue, 2)

    assert plain.body == b'{"jsonrpc":"2.0","method":"E_TEST","params":{"s":"hello"}}'
    assert (plain.content_type, plain.message_id, plain.headers, plain.routing_key) == (None, None, {}, queue.name)
    assert (full.content_type, full.delivery_mode, full.headers) == ("application/json", 2, {"source": "evframe"})
    assert full.message_id
    assert full.expiration


async def test_large_body(rabbitmq, queue):
    """A payload larger than a frame arrives whole."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{queue.name}")
        assert (await events.raise_event_and_wait("E_TEST", ["x" * 500_000]))[0].delivered
        (message,) = await take(queue, 1)

    assert len(json.loads(message.body)["params"][0]) == 500_000


async def test_what_the_broker_refuses_r1(rabbitmq):
    """R1: unroutable messages, a missing exchange and a nack are failures with their reason; the next one works."""
    async with channel_of(rabbitmq) as channel, interface() as events:
        full = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        )
        base = f"rabbitmq:127.0.0.1:{rabbitmq.port}/"
        for text, reasons in [
            (f"{base}no-such-queue", ["unroutable", "unroutable"]),
            (f"{base}exchange=no-such-exchange?k", ["not_found", "not_found"]),
            (f"{base}{full.name}", [None, "nacked"]),
        ]:
            events.subscribe_event("E_TEST", text)
            got = [(await events.raise_event_and_wait("E_TEST", [number]))[0].reason for number in range(2)]
            assert got == reasons, text
            events.unsubscribe_event("E_TEST", text)


async def test_unroutable_among_many_r1(rabbitmq, queue):
    """R1: in a burst, the messages that come back are failed, all of them and no others."""
    async with interface() as events:
        for name in ("no-such-queue", queue.name):
            events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{name}")
        for number in range(3000):
            events.raise_event("E_TEST", [number % 7])
        await until(lambda: not any(counters.depth for counters in events.statistics))
        bad, good = events.statistics[:2]

    assert bad.reasons == {"unroutable": 3000}
    assert (good.delivered, good.failed) == (3000, 0)


async def test_wrong_password(rabbitmq):
    """A broker that does not let us in keeps the events waiting; neither log nor report has the password."""
    async with interface(QUICK_END) as events:
        lease = events.subscribe_event("E_TEST", f"rabbitmq:guest:sesame@127.0.0.1:{rabbitmq.port}/k")
        events.raise_event("E_TEST")
        await until(lambda: lease.subscriber.attempts)
        assert "sesame" not in str(events.statistics)


async def test_shared_connection_r15(rabbitmq, queue):
    """R15: subscribers of one broker share a connection, which ends with the last of them."""
    async with FaultProxy(rabbitmq.port) as proxy, interface() as events:
        sockets = [f"rabbitmq:127.0.0.1:{proxy.port}/{key}" for key in (queue.name, "persistent?" + queue.name)]
        for text in sockets:
            events.subscribe_event("E_TEST", text)
        for _ in range(2):
            report = await events.raise_event_and_wait("E_TEST")
            assert all(outcome.delivered for outcome in report)
        assert proxy.connections == 2  # one of them only to see that the port answers
        for text in sockets:
            events.unsubscribe_event("E_TEST", text)
        await until(lambda: not proxy._tasks)


async def test_hung_broker_r2_r6_r13(rabbitmq, queue):
    """R2, R6, R13: a broker that accepts and never speaks holds up nobody, neither at login nor in mid-publish."""
    async with FaultProxy(rabbitmq.port) as proxy:
        async with interface(QUICK_END, login_timeout_ms=300, timeout_ms=300) as events:
            events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{queue.name}")
            proxy.hold()
            hung = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/{queue.name}")
            for number in range(500):
                events.raise_event("E_TEST", [number])
            await until(lambda: hung.subscriber.attempts)
            await until(lambda: events.statistics[0].delivered == 500)
            proxy.release()
            await until(lambda: events.statistics[1].delivered == 500)
            proxy.hold()
            events.raise_event("E_TEST", ["in mid-publish"])
            await until(lambda: hung.subscriber.attempts)
            proxy.release()
            await until(lambda: events.statistics[1].delivered == 501)


async def test_heartbeats_keep_an_idle_connection_r2(rabbitmq, queue):
    """R2: a connection that is idle for longer than its heartbeats is still there for the next event."""
    async with FaultProxy(rabbitmq.port) as proxy, interface(heartbeat_s=1) as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/{queue.name}")
        await events.raise_event_and_wait("E_TEST", [1])
        before = proxy.connections
        await asyncio.sleep(3)  # the time that it is about
        assert (await events.raise_event_and_wait("E_TEST", [2]))[0].delivered
        assert proxy.connections == before


@pytest.mark.parametrize(
    "options", [{"heartbeat_s": -1}, {"timeout_ms": 0}, {"connect_timeout_ms": 0}, {"max_in_flight": 0}]
)
def test_bad_options_r6(options):
    """R6: a value out of range is an error that names the option, and every other one takes effect."""
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        Options(**options)


async def test_blocked_connection_r2(rabbitmq, queue):
    """R2: a broker that blocks publishers for want of memory holds up nobody; once it has some, nothing is lost."""
    if not hasattr(rabbitmq, "control"):
        pytest.skip("the broker that is given cannot be told to block")
    async with interface(timeout_ms=500) as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{queue.name}")
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        lease = events.subscriptions[0]
        await asyncio.to_thread(rabbitmq.control, "set_vm_memory_high_watermark", "0.00001")
        try:
            for number in range(1, 200):
                events.raise_event("E_TEST", [number])
            await until(lambda: lease.subscriber.attempts)
            async with events.listen("E_TEST") as listener:
                events.raise_event("E_TEST", ["others go on"])
                assert (await anext(listener))[1] == "others go on"
        finally:
            await asyncio.to_thread(rabbitmq.control, "set_vm_memory_high_watermark", "0.4")
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.failed) == (201, 0)
        bodies = []
        async with asyncio.timeout(60), queue.iterator(no_ack=True) as messages:
            while "others go on" not in bodies:
                bodies.append(json.loads((await anext(messages)).body)["params"][0])

    assert list(dict.fromkeys(bodies)) == [*range(200), "others go on"]


async def test_tls_r8(rabbitmq, queue):
    """R8: messages go over TLS to a broker whose certificate is trusted, and to no other."""
    if not hasattr(rabbitmq, "tls_port"):
        pytest.skip("the broker that is given has no TLS")
    text = f"rabbitmq:localhost:{rabbitmq.tls_port}/tls?{queue.name}"
    async with interface(use_tls=True, ca_file=str(rabbitmq.certificate), connect_timeout_ms=5000) as events:
        events.subscribe_event("E_TEST", text)
        assert (await events.raise_event_and_wait("E_TEST", ["secret"]))[0].delivered
    async with interface(QUICK_END, use_tls=True, connect_timeout_ms=5000) as events:
        lease = events.subscribe_event("E_TEST", text)
        events.raise_event("E_TEST", ["not for everybody"])
        await until(lambda: lease.subscriber.attempts)
    async with interface() as events:
        with pytest.raises(evframe.SocketError, match="use_tls"):
            events.subscribe_event("E_TEST", text)
    (message,) = await take(queue, 1)

    assert json.loads(message.body)["params"] == ["secret"]
