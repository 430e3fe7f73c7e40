"""The transport against a real RabbitMQ."""

import asyncio
import json
import logging
import re
import time
from contextlib import asynccontextmanager
from urllib.parse import quote

import aio_pika
import aiormq
import pytest
from aiormq.connection import TransportFactory
from brokers import certificates
from brokers.connections import connections_to
from brokers.proxy import FaultProxy
from brokers.queues import channel_of
from brokers.rabbitmq import binary
from evframe_mi import ManagementOptions
from evframe_mi.policy import Policy
from evframe_rabbitmq import Options, RabbitmqTransport, parse
from evframe_rabbitmq.frames import header_frame, method_frame
from pamqp.constants import DOMAIN_REGEX
from silent import SilentTls

import evframe
from evframe.config import Config, CoreOptions
from evframe.exceptions import ForbiddenError
from evframe.testing import FakeNames, Peer, TransportContract, until

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
    lost_sockets = ("rabbitmq:127.0.0.1:1/k",)
    library_cycles = (
        aio_pika.Connection,
        aiormq.Connection,
        aiormq.Channel,
        TransportFactory,
        asyncio.StreamReaderProtocol,
    )
    library_objects = 250

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
        for _ in range(2):
            await events.raise_event_and_wait("E_TEST", ["x"])
        plain, full, other = await take(queue, 3)

    assert plain.body == b'{"jsonrpc":"2.0","method":"E_TEST","params":{"s":"hello"}}'
    assert (plain.exchange, plain.routing_key) == ("", queue.name)
    assert (plain.content_type, plain.message_id, plain.headers, plain.expiration) == (None, None, {}, None)
    assert full.body == b'{"jsonrpc":"2.0","method":"E_TEST","params":["x"]}'
    assert (full.content_type, full.delivery_mode, full.headers) == ("application/json", 2, {"source": "evframe"})
    assert full.expiration == 60
    assert full.message_id
    assert full.message_id != other.message_id


async def test_more_properties(rabbitmq, queue):
    """A message has the application, the correlation and the priority of its socket; the connection has its name."""
    async with interface(connection_name="gateway of north") as events:
        params = "app_id=sip;correlation_id=a b;priority=0"
        lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{params}?{queue.name}")
        assert lease.subscriber.socket.canonical.endswith("/app_id=sip;correlation_id=a%20b;priority=0?" + queue.name)
        await events.raise_event_and_wait("E_TEST")
        (message,) = await take(queue, 1)
        assert (message.app_id, message.correlation_id, message.priority) == ("sip", "a b", 0)
        if hasattr(rabbitmq, "evaluate"):
            name = '{<<"connection_name">>, longstr, <<"gateway of north">>}'
            listed = "rabbit_networking:connection_info_all([client_properties])"
            has_name = f"fun([{{_, All}}]) -> lists:member({name}, All); (_) -> false end"
            await asyncio.to_thread(rabbitmq.evaluate, f"true = lists:any({has_name}, {listed}), ok")


async def test_time_of_the_raise(rabbitmq, queue):
    """A message has the time at which its event was raised, however late it is published."""
    async with FaultProxy(rabbitmq.port) as proxy, interface() as events:
        proxy.refuse()
        socket = f"rabbitmq:127.0.0.1:{proxy.port}/timestamp?{queue.name}"
        lease = events.subscribe_event("E_TEST", socket)
        assert lease.subscriber.socket.canonical == f"rabbitmq:guest@{socket.partition(':')[2]}"
        before = int(time.time())
        events.raise_event("E_TEST")
        after = time.time()
        await until(lambda: lease.subscriber.attempts and time.time() >= after + 1.1)
        await proxy.open()
        (message,) = await take(queue, 1)
        assert before <= message.timestamp.timestamp() <= after


async def test_connections_and_channels_are_those_of_aio_pika(rabbitmq, queue):
    """What connects and publishes is aio-pika, without its own way to connect again."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{queue.name}")
        await events.raise_event_and_wait("E_TEST")
        (broker,) = events.plugin("rabbitmq")._brokers.values()
        (channel,) = broker._channels.values()
        assert isinstance(broker._connection, aio_pika.Connection)
        assert not isinstance(broker._connection, aio_pika.RobustConnection)
        assert isinstance(channel.outer, aio_pika.Channel)
        assert await channel.outer.get_underlay_channel() is channel.batches


async def test_exchange_r9(rabbitmq, queue, monkeypatch):
    """R9: a message goes through the exchange of the socket, under its very name, with its very key."""
    name = "calls; é?"
    async with channel_of(rabbitmq) as channel, interface() as events:
        with monkeypatch.context() as patch:  # the client refuses the name, the broker does not
            patch.setitem(DOMAIN_REGEX, "exchange-name", re.compile(".*"))
            exchange = await channel.declare_exchange(name, "topic", auto_delete=True)
            await queue.bind(exchange, "ended.*")
        base = f"rabbitmq:127.0.0.1:{rabbitmq.port}/exchange=calls%3B%20%C3%A9%3F"
        for key, reason in [("ended.a/b;?", None), ("begun.x", "unroutable")]:
            events.subscribe_event("E_TEST", f"{base}?{key}")
            assert (await events.raise_event_and_wait("E_TEST", [key]))[0].reason == reason
            events.unsubscribe_event("E_TEST", f"{base}?{key}")
        (message,) = await take(queue, 1)
    assert (message.exchange, message.routing_key) == (name, "ended.a/b;?")


@pytest.mark.parametrize(
    ("text", "method", "properties"),
    [
        ("h/rk", b"\x00\x02rk\x01", b"\x00\x00"),
        ("h/exchange=ex?", b"\x02ex\x00\x01", b"\x00\x00"),
        ("h/persistent?rk", b"\x00\x02rk\x01", b"\x10\x00\x02"),
        ("h/content_type=a/b;expiration_ms=5?rk", b"\x00\x02rk\x01", b"\x81\x00\x03a/b\x015"),
        ("h/header.x=1?é", b"\x00\x02\xc3\xa9\x01", b"\x20\x00\x00\x00\x00\x08\x01xS\x00\x00\x00\x011"),
    ],
)
def test_frames_r4_r9(text, method, properties):
    """R4, R9: each row of the frames: mandatory always set, names without a NUL, properties only where the socket has them."""
    socket = parse(text)
    method = b"\x00\x3c\x00\x28\x00\x00" + method
    header = b"\x00\x3c\x00\x00" + (7).to_bytes(8, "big") + properties

    assert method_frame(5, socket) == b"\x01\x00\x05" + len(method).to_bytes(4, "big") + method + b"\xce"
    assert header_frame(5, socket, 7) == b"\x02\x00\x05" + len(header).to_bytes(4, "big") + header + b"\xce"


async def test_virtual_host_r5(rabbitmq):
    """R5: a message goes to the virtual host of the socket; one that is not there keeps the events waiting."""
    if not hasattr(rabbitmq, "evaluate"):
        pytest.skip("the broker that is given cannot be made to have one")
    await asyncio.to_thread(rabbitmq.make_virtual_host, "voip/é")
    there = f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/voip%2F%C3%A9"
    async with await aio_pika.connect(there) as connection, interface(QUICK_END) as events:
        queue = await (await connection.channel()).declare_queue(exclusive=True)
        base = f"rabbitmq:127.0.0.1:{rabbitmq.port}/vhost="
        events.subscribe_event("E_TEST", f"{base}voip/é?{queue.name}")
        assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
        assert len(await take(queue, 1)) == 1
        nowhere = events.subscribe_event("E_TEST", f"{base}nosuch?{queue.name}")
        events.raise_event("E_TEST", [2])
        await until(lambda: nowhere.subscriber.attempts)
        assert nowhere.subscriber.failed == 0
    await asyncio.to_thread(rabbitmq.remove_virtual_host, "voip/é")


@pytest.mark.parametrize("format_", ["jsonrpc", "cloudevents"])
async def test_message_ids_of_the_same_time(rabbitmq, queue, monkeypatch, format_):
    """On a machine with a coarse clock, no message has the id of the one before, which has its bytes."""
    monkeypatch.setattr("evframe.subscriptions.raising.monotonic", lambda: 1.0)
    async with interface(format=format_) as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/message_id?{queue.name}")
        for number in range(100):
            events.raise_event("E_TEST", [number // 2])
        found = await take(queue, 100)
    assert len({message.message_id for message in found}) == 100


async def test_message_id_of_a_retry(rabbitmq, queue):
    """A message that is sent again has the id of the first time, so that a consumer can recognise it."""
    async with FaultProxy(rabbitmq.port) as proxy, interface() as events:
        lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/message_id?{queue.name}")
        await events.raise_event_and_wait("E_TEST", [0])
        proxy.hold_back()
        for number in range(1, 100):
            events.raise_event("E_TEST", [number])
        async with asyncio.timeout(60):
            twice = await take(queue, 100)
        proxy.reset()
        proxy.release()
        await until(lambda: lease.subscriber.delivered == 100)
        twice += await take(queue, 99)
    ids = {}
    for message in twice:
        ids.setdefault(message.message_id, []).append(json.loads(message.body)["params"][0])

    assert sorted(ids.values()) == [[0], *([number, number] for number in range(1, 100))]


async def test_large_body_r10(rabbitmq, queue):
    """R10: a subscriber connects at its first event, and a payload larger than a frame arrives whole."""
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


async def test_wrong_password(rabbitmq, caplog):
    """A broker that does not let us in keeps the events waiting; neither log nor report has the password."""
    caplog.set_level(logging.DEBUG)
    async with interface(QUICK_END) as events:
        lease = events.subscribe_event("E_TEST", f"rabbitmq:guest:sesame@127.0.0.1:{rabbitmq.port}/k")
        events.raise_event("E_TEST")
        await until(lambda: lease.subscriber.attempts)
        assert "sesame" not in str(events.statistics)
    assert "aiormq" in caplog.text
    assert "sesame" not in caplog.text


async def test_shared_connection_r15(rabbitmq, queue):
    """R15: subscribers of one broker share a connection, which ends with the last of them."""
    async with FaultProxy(rabbitmq.port) as proxy, interface() as events:
        sockets = [f"rabbitmq:127.0.0.1:{proxy.port}/{key}" for key in (queue.name, "persistent?" + queue.name)]
        for text in sockets:
            events.subscribe_event("E_TEST", text)
        for _ in range(2):
            report = await events.raise_event_and_wait("E_TEST")
            assert all(outcome.delivered for outcome in report)
        assert proxy.connections == 1
        for text in sockets:
            events.unsubscribe_event("E_TEST", text)
        await until(lambda: not proxy._tasks)


async def test_hung_broker_r2_r6_r13(rabbitmq, queue):
    """R2, R6, R13: a broker that accepts and never speaks delays no other subscriber, neither at login nor in mid-publish."""
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


async def test_a_broker_that_misses_heartbeats_loses_nothing_r2(rabbitmq, queue):
    """R2: what was under way to a broker that hangs longer than its heartbeats is sent again."""
    async with FaultProxy(rabbitmq.port) as proxy, interface(heartbeat_s=1, timeout_ms=60_000) as events:
        lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/{queue.name}")
        await events.raise_event_and_wait("E_TEST", [0])
        proxy.hold()
        for number in range(1, 100):
            events.raise_event("E_TEST", [number])
        await until(lambda: lease.subscriber.attempts)
        proxy.reset()
        proxy.release()
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.failed) == (100, 0)


async def test_several_hosts_are_tried_in_turn(rabbitmq, queue):
    """The next host is tried when one refuses or is silent; the one that works is kept, and nothing is lost."""
    async with FaultProxy(rabbitmq.port) as first, FaultProxy(rabbitmq.port) as second:
        async with interface(connect_timeout_ms=300, login_timeout_ms=3000) as events:
            hosts = f"127.0.0.1:1,127.0.0.1:{first.port},127.0.0.1:{second.port}"
            lease = events.subscribe_event("E_TEST", f"rabbitmq:{hosts}/{queue.name}")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            assert (first.connections, second.connections) == (1, 0)
            first.refuse()
            first.reset()
            assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
            await first.open()
            second.reset()
            assert (await events.raise_event_and_wait("E_TEST", [2]))[0].delivered
            assert (first.connections, second.connections) == (1, 2)
            assert lease.subscriber.failed == 0
    numbers = [json.loads(message.body)["params"][0] for message in await take(queue, 3)]
    assert numbers == [0, 1, 2]


async def test_a_name_that_moves(rabbitmq, queue):
    """A name is looked up when events go; at another address a new connection takes over without a loss."""
    sent = 0
    async with FaultProxy(rabbitmq.port) as old:
        async with FaultProxy(rabbitmq.port, old.port, "127.0.0.2") as new:
            events = interface()
            with FakeNames() as names:
                events.resolver.lookup = names
                async with events:
                    lease = events.subscribe_event("E_TEST", f"rabbitmq:mq.example:{old.port}/{queue.name}")
                    events.raise_event("E_TEST", [sent := 1])
                    await until(lambda: lease.subscriber.attempts)
                    names["mq.example"] = ["127.0.0.1"]
                    await until(lambda: lease.subscriber.delivered == 1)
                    names["mq.example"] = ["127.0.0.2"]
                    while not new.connections or lease.subscriber.depth:
                        if not new.connections:
                            events.raise_event("E_TEST", [sent := sent + 1])
                        events.resolver.forget("mq.example")
                        events.resolver.refresh_all()
                        await asyncio.sleep(0)
                    await until(lambda: not old._writers)
                    assert (lease.subscriber.delivered, lease.subscriber.failed) == (sent, 0)
                    assert (old.connections, new.connections) == (1, 1)
    assert [json.loads(message.body)["params"][0] for message in await take(queue, sent)] == [*range(1, sent + 1)]


@pytest.mark.parametrize(
    "options", [{"heartbeat_s": -1}, {"timeout_ms": 0}, {"connect_timeout_ms": 0}, {"max_in_flight": 0}]
)
def test_bad_options_r6(options):
    """R6: a value out of range is an error that names the option, and every other one takes effect."""
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        Options(**options)


async def test_blocked_connection_r2(rabbitmq, queue):
    """R2: a broker that blocks publishers for want of memory delays no other subscriber; once it has some, nothing is lost."""
    if not hasattr(rabbitmq, "evaluate"):
        pytest.skip("the broker that is given cannot be made to block")
    async with interface(timeout_ms=500) as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{queue.name}")
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        lease = events.subscriptions[0]
        await asyncio.to_thread(rabbitmq.limit_memory, 0.00001)
        try:
            for number in range(1, 200):
                events.raise_event("E_TEST", [number])
            await until(lambda: lease.subscriber.attempts)
            async with events.listen("E_TEST") as listener:
                events.raise_event("E_TEST", ["others continue"])
                assert (await anext(listener))[1] == "others continue"
        finally:
            await asyncio.to_thread(rabbitmq.limit_memory)
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.failed) == (201, 0)
        bodies = []
        async with asyncio.timeout(60), queue.iterator(no_ack=True) as messages:
            while "others continue" not in bodies:
                bodies.append(json.loads((await anext(messages)).body)["params"][0])

    assert list(dict.fromkeys(bodies)) == [*range(200), "others continue"]


@pytest.fixture
async def secure(rabbitmq, queue):
    """Return the socket of a queue at the listener with TLS."""
    if not hasattr(rabbitmq, "tls_port"):
        pytest.skip("the broker that is given has no TLS")
    yield f"rabbitmq:localhost:{rabbitmq.tls_port}/tls?{queue.name}"
    # Connections with TLS end when both sides have said so; a loop of uvloop that is closed before waits for ever.
    await until(lambda: not connections_to(rabbitmq.tls_port))


async def test_tls_r8(rabbitmq, queue, secure):
    """R8: messages go over TLS to a broker whose certificate is trusted, and to no other."""
    async with interface(use_tls=True, ca_file=str(rabbitmq.certificate), connect_timeout_ms=5000) as events:
        events.subscribe_event("E_TEST", secure)
        assert (await events.raise_event_and_wait("E_TEST", ["secret"]))[0].delivered
    await assert_refused(secure)
    for refused in (secure, secure.replace("tls?", "tls_domain=d?")):
        async with interface() as events:
            with pytest.raises(evframe.SocketError, match="use_tls"):
                events.subscribe_event("E_TEST", refused)
    (message,) = await take(queue, 1)

    assert json.loads(message.body)["params"] == ["secret"]


async def test_our_own_certificate(rabbitmq, secure, tmp_path):
    """Our certificate is shown to the broker, and one that it does not trust is refused."""
    options = {"use_tls": True, "ca_file": str(rabbitmq.certificate), "connect_timeout_ms": 5000}
    async with interface(**options, cert_file=str(rabbitmq.clients)) as events:
        events.subscribe_event("E_TEST", secure)
        assert (await events.raise_event_and_wait("E_TEST", ["secret"]))[0].delivered
    await assert_refused(secure, ca_file=str(rabbitmq.certificate), cert_file=str(certificates.make(tmp_path)))


@pytest.mark.parametrize("name", ["..", "north/../south", "./east", "%2F"])
async def test_the_virtual_host_is_the_one_that_is_named(rabbitmq, name):
    """A name that would be another one in the path of a URL is taken as it is."""
    if not hasattr(rabbitmq, "make_virtual_host"):
        pytest.skip("the broker that is given has other virtual hosts")
    await asyncio.to_thread(rabbitmq.make_virtual_host, name)
    async with interface() as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/vhost={quote(name, safe='')}?nosuch")
        (outcome,) = await events.raise_event_and_wait("E_TEST")
        assert outcome.reason == "unroutable"
        listed = "rabbit_networking:connection_info_all([vhost])"
        is_it = f"fun([{{_, Name}}]) -> Name == {binary(name)} end"
        await asyncio.to_thread(rabbitmq.evaluate, f"true = lists:any({is_it}, {listed}), ok")


async def test_a_silent_broker_with_tls_is_tried_again(rabbitmq, caplog):
    """A broker that says nothing, not even that TLS ends, takes the time of one login, and not that of many."""
    if not hasattr(rabbitmq, "tls_port"):
        pytest.skip("the broker that is given has no certificate")
    with SilentTls(rabbitmq.certificate, rabbitmq.folder / "certificate-key.pem") as silent:
        options = {"ca_file": str(rabbitmq.certificate), "connect_timeout_ms": 5000, "login_timeout_ms": 100}
        async with interface(QUICK_END, use_tls=True, **options) as events:
            lease = events.subscribe_event("E_TEST", f"rabbitmq:localhost:{silent.port}/tls?k")
            events.raise_event("E_TEST")
            await until(lambda: silent.connections >= 2, timeout_s=25)
            assert lease.subscriber.away == "login_timeout"


async def test_login_with_our_certificate(rabbitmq, queue, secure):
    """EXTERNAL: the broker lets us in as the one that our certificate names, and not before it knows that user."""
    external = secure.replace("/tls?", "/tls;external?")
    options = {"ca_file": str(rabbitmq.certificate), "cert_file": str(rabbitmq.clients)}
    await assert_refused(external, **options)
    await asyncio.to_thread(rabbitmq.make_user, "somebody", "never used")
    async with interface(use_tls=True, connect_timeout_ms=5000, **options) as events:
        lease = events.subscribe_event("E_TEST", external)
        assert lease.subscriber.socket.canonical == external.replace("rabbitmq:", "rabbitmq:guest@")
        assert (await events.raise_event_and_wait("E_TEST", ["secret"]))[0].delivered
        await asyncio.to_thread(
            rabbitmq.evaluate,
            'true = lists:any(fun([{_, User}]) -> User == <<"somebody">> end,'
            " rabbit_networking:connection_info_all([user])), ok",
        )
        with pytest.raises(ForbiddenError, match="expected external in sockets of the configuration alone"):
            Policy("test", ManagementOptions()).check_socket(lease.subscriber.socket)
    (message,) = await take(queue, 1)
    assert json.loads(message.body)["params"] == ["secret"]


@pytest.mark.parametrize("options", [{"use_tls": True}, {"use_tls": True, "cert_file": "here"}])
def test_login_with_no_certificate(options, rabbitmq):
    """EXTERNAL without a certificate, or without TLS, is refused when it is subscribed."""
    if "cert_file" in options:
        options = {**options, "cert_file": str(rabbitmq.clients)}
    params = "external" if "cert_file" in options else "tls;external"
    with pytest.raises(ValueError, match="expected tls, and the option cert_file, for a socket with external"):
        RabbitmqTransport(Options(**options)).on_subscribe("rabbitmq", f"h/{params}?rk")


async def assert_refused(text, **options):
    """Fail unless a subscriber does not get in, and its events wait."""
    async with interface(QUICK_END, use_tls=True, connect_timeout_ms=5000, **options) as events:
        lease = events.subscribe_event("E_TEST", text)
        events.raise_event("E_TEST", ["not for everybody"])
        await until(lambda: lease.subscriber.attempts)
        assert lease.subscriber.delivered == lease.subscriber.failed == 0


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_bad_certificates(tmp_path, field):
    """Certificates that are not there, or are none, are a problem of the configuration."""
    (tmp_path / "none.pem").write_text("no certificate")
    for path in (tmp_path / "nosuch.pem", tmp_path / "none.pem"):
        with pytest.raises(evframe.ConfigError, match=f"{field}: expected"):
            RabbitmqTransport(Options(use_tls=True, **{field: str(path)}))


async def test_more_subscribers_than_channels(rabbitmq, queue):
    """A subscriber that the connection has no channel for waits until there is one, and harms no other."""
    async with interface() as events:
        base = f"rabbitmq:127.0.0.1:{rabbitmq.port}/"
        events.subscribe_event("E_TEST", f"{base}{queue.name}")
        await events.raise_event_and_wait("E_TEST", [0])
        (broker,) = events.plugin("rabbitmq")._brokers.values()
        broker._connection.protocol.connection_tune.channel_max = 1
        second = events.subscribe_event("E_TEST", f"{base}persistent?{queue.name}")
        events.raise_event("E_TEST", [1])
        await until(lambda: second.subscriber.attempts)
        first = events.subscriptions[0].subscriber
        await until(lambda: not first.depth)
        assert (first.delivered, first.failed, first.attempts) == (2, 0, 0)
        events.unsubscribe_event("E_TEST", f"{base}{queue.name}")
        await until(lambda: second.subscriber.delivered == 1)
