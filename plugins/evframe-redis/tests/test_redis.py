"""The transport against a real Redis."""

import asyncio
import json
import uuid
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest
from brokers.connections import connections_to
from brokers.load import Tries
from brokers.proxy import FaultProxy
from brokers.redis import PASSWORD, USER, commands_of, entries_in, numbers_in
from carried import PARENT, ByParameter
from evframe_redis import Options, RedisTransport
from stream_servers import StreamServer

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import FakeNames, Peer, TransportContract, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))
pytestmark = pytest.mark.timeout(60)


def interface(config=None, **options):
    events = evframe.EventInterface(config, plugins={"redis": RedisTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


@pytest.fixture
def stream():
    """Return the name of a stream of the test's own."""
    return f"s-{uuid.uuid4().hex[:8]}"


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = (
        "redis:",
        "redis:h",
        "redis://h",
        "redis://h?stream=",
        "redis://h/x?stream=s",
        "rediss://h:0?stream=s",
    )
    lost_sockets = ("redis://127.0.0.1:1?stream=s",)
    library_objects = 60

    @pytest.fixture(autouse=True)
    def broker(self, redis, stream):
        self.redis, self.stream, self.read = redis, stream, 0

    def transport(self):
        return RedisTransport()

    @asynccontextmanager
    async def peer(self):
        with commands_of(self.redis) as commands:

            async def receive(count):
                first, self.read = self.read, self.read + count
                await until(lambda: commands.xlen(self.stream) >= self.read)
                return [fields[b"payload"] for _, fields in commands.xrange(self.stream)][first : self.read]

            yield Peer(f"redis://127.0.0.1:{self.redis.port}?stream={self.stream}", receive)


async def test_an_entry_has_the_name_and_the_notification(redis, stream):
    """The fields are the name of the event and the payload, and nothing else."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}/3?stream={stream}")
        await events.raise_event_and_wait("E_TEST", {"s": "hello"})
        await events.raise_event_and_wait("E_TEST")
    assert entries_in(redis, stream, db=3) == [
        {b"event": b"E_TEST", b"payload": b'{"jsonrpc":"2.0","method":"E_TEST","params":{"s":"hello"}}'},
        {b"event": b"E_TEST", b"payload": b'{"jsonrpc":"2.0","method":"E_TEST"}'},
    ]


async def test_a_stream_is_bounded(redis, stream):
    """With `maxlen` the oldest entries go, about as many as come; the newest are all in the stream."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}?stream={stream}&maxlen=200")
        for number in range(3000):
            events.raise_event("E_TEST", [number])
    numbers = numbers_in(redis, stream)
    assert 200 <= len(numbers) <= 400
    assert numbers == list(range(3000 - len(numbers), 3000))


async def test_an_event_names_its_stream(redis, stream):
    """Parameters in the name are those of the event; an event without one, or with another type, fails by itself."""
    async with interface() as events:
        socket = f"redis://127.0.0.1:{redis.port}?stream={stream}.{{caller}}%7Bx}}"
        events.subscribe_event("E_TEST", socket)
        params = [{"caller": "a"}, {"other": 1}, {"caller": 7}, {"caller": ["a"]}, {"caller": "x" * 2000}]
        reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", each) for each in params))
    reasons = [report[0].reason for report in reports]
    assert reasons == [None, "missing_parameter", None, "unfit_parameter", "unfit_parameter"]
    assert [len(entries_in(redis, f"{stream}.{name}{{x}}")) for name in ("a", "7")] == [1, 1]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_login(redis, stream, tls):
    """A user with a password may add where the rules permit it; listings and texts have no password."""
    port = redis.tls_port if tls else redis.port
    async with interface(QUICK_END, ca_file=str(redis.authority)) as events:
        base = f"{'rediss' if tls else 'redis'}://{USER}:{quote(PASSWORD, safe='')}@localhost:{port}?stream="
        lease = events.subscribe_event("E_TEST", f"{base}{stream}")
        other = events.subscribe_event("E_TEST", f"{base}other-{stream}")
        report = await events.raise_event_and_wait("E_TEST", [1])
        assert {each.socket: each.reason for each in report} == {
            lease.subscriber.socket.canonical: None,
            other.subscriber.socket.canonical: "access_refused",
        }
        assert "pass" not in f"{lease.subscriber.socket}{lease.subscriber.socket.canonical}"
    assert numbers_in(redis, stream) == [1]


@pytest.mark.parametrize("login", [f"{USER}:wrong@", f"{USER}@", "nobody:x@", ":x@"])
async def test_a_login_that_is_refused(redis, stream, login):
    """Events wait while the server does not let us in."""
    async with interface(QUICK_END) as events:
        lease = events.subscribe_event("E_TEST", f"redis://{login}127.0.0.1:{redis.port}?stream={stream}")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.away)
        assert lease.subscriber.away == "access_refused"


async def test_another_password_takes_effect(redis, stream):
    """A subscription with the right password follows one with a wrong one, and what has waited is sent."""
    async with interface() as events:
        place = f"@127.0.0.1:{redis.port}?stream={stream}"
        lease = events.subscribe_event("E_TEST", f"redis://{USER}:wrong{place}")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.away)
        assert events.subscribe_event("E_TEST", f"redis://{USER}:{quote(PASSWORD, safe='')}{place}") is lease
        await until(lambda: not lease.subscriber.depth)
    assert numbers_in(redis, stream) == [1]


async def test_a_certificate_that_is_not_trusted(redis, stream):
    """Nothing is sent to a server whose certificate does not fit."""
    async with interface(QUICK_END) as events:
        lease = events.subscribe_event("E_TEST", f"rediss://localhost:{redis.tls_port}?stream={stream}")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.away)
        assert lease.subscriber.away == "tls"


async def test_another_type_of_value(redis, stream):
    """An event for a name that is no stream fails; a probe finds that out without an event."""
    with commands_of(redis) as commands:
        commands.set(stream, "text")
    async with interface() as events:
        lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}?stream={stream}")
        report = await events.raise_event_and_wait("E_TEST", [1])
        assert report[0].reason == "wrongtype"
        with pytest.raises(evframe.Rejected, match="wrongtype"):
            await lease.subscriber.transport.deliver(lease.subscriber.socket, evframe.Batch(()))


async def test_a_server_without_memory(redis, stream):
    """While the server takes no writes events wait, one is tried at a time, and all arrive in order."""
    with commands_of(redis) as commands:
        async with interface() as events:
            lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}?stream={stream}")
            await events.raise_event_and_wait("E_TEST", [0])
            commands.config_set("maxmemory", "1")
            try:
                for number in range(1, 500):
                    events.raise_event("E_TEST", [number])
                await until(lambda: lease.subscriber.attempts >= 2)
                assert lease.subscriber.away == "oom"
                before = commands.info("stats")["total_error_replies"]
                attempts = lease.subscriber.attempts
                await until(lambda: lease.subscriber.attempts >= attempts + 2)
                assert commands.info("stats")["total_error_replies"] - before <= 4
            finally:
                commands.config_set("maxmemory", "0")
            await until(lambda: not lease.subscriber.depth)
    assert numbers_in(redis, stream) == list(range(500))


async def test_a_replica(redis, stream):
    """Events wait while the server is a replica, which takes no writes, and arrive in order."""
    with commands_of(redis) as commands:
        async with interface() as events:
            lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}?stream={stream}")
            await events.raise_event_and_wait("E_TEST", [0])
            commands.replicaof("127.0.0.1", 1)
            try:
                for number in range(1, 500):
                    events.raise_event("E_TEST", [number])
                await until(lambda: lease.subscriber.attempts >= 2)
                assert lease.subscriber.away == "readonly"
            finally:
                commands.replicaof("NO", "ONE")
            await until(lambda: not lease.subscriber.depth)
    assert numbers_in(redis, stream) == list(range(500))


async def test_a_server_that_begins_to_take_events(redis, stream):
    """A new connection has one event alone at first: of many, a server that starts may refuse only the first ones."""
    with commands_of(redis) as commands:
        async with FaultProxy(redis.port) as proxy, interface() as events:
            commands.replicaof("127.0.0.1", 1)
            try:
                proxy.hold_after = 100_000  # some commands have reached the server by then, and were refused
                lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{proxy.port}?stream={stream}")
                for number in range(2000):
                    events.raise_event("E_TEST", [number])
                await until(lambda: lease.subscriber.away or not proxy.flows.is_set())
            finally:
                commands.replicaof("NO", "ONE")
            proxy.hold_after = None
            proxy.release()
            await until(lambda: not lease.subscriber.depth)
    assert numbers_in(redis, stream) == list(range(2000))


async def test_an_event_that_is_too_large(redis, stream):
    """It fails, and those before and behind it arrive."""
    with commands_of(redis) as commands:
        commands.config_set("proto-max-bulk-len", "1mb")
        try:
            async with interface() as events:
                events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}?stream={stream}")
                params = [[number, "x" * (2_000_000 if number == 5 else 10)] for number in range(10)]
                reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", each) for each in params))
        finally:
            commands.config_set("proto-max-bulk-len", "512mb")
    assert [report[0].reason for report in reports] == ["too_large" if number == 5 else None for number in range(10)]
    assert numbers_in(redis, stream) == [0, 1, 2, 3, 4, 6, 7, 8, 9]


async def test_a_connection_for_each_subscriber(redis, stream):
    """A subscriber has one connection, with a name, which ends with it."""
    async with interface(client_name="gateway-north") as events, FaultProxy(redis.port) as proxy:
        sockets = [f"redis://127.0.0.1:{proxy.port}?stream={stream}{number}" for number in range(3)]
        for text in sockets:
            events.subscribe_event("E_TEST", text)
        for number in range(3):
            await events.raise_event_and_wait("E_TEST", [number])
        assert connections_to(proxy.port) == 3
        assert proxy.connections == 3
        with commands_of(redis) as commands:
            assert sum(each["name"] == "gateway-north" for each in commands.client_list()) == 3
        for text in sockets:
            events.unsubscribe_event("E_TEST", text)
        await until(lambda: not connections_to(proxy.port))


async def test_a_connection_that_has_ended_while_idle(redis, stream):
    """The next event goes over another connection, without an attempt that fails."""
    async with FaultProxy(redis.port) as proxy, interface() as events:
        lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{proxy.port}?stream={stream}")
        await events.raise_event_and_wait("E_TEST", [0])
        proxy.reset()
        await until(lambda: not next(iter(events.plugin("redis")._servers.values()))._link.is_open)
        await events.raise_event_and_wait("E_TEST", [1])
        assert lease.subscriber.attempts == 0
        assert proxy.connections == 2
    assert numbers_in(redis, stream) == [0, 1]


async def test_a_connection_that_is_exchanged_within_a_batch(redis, stream):
    """The parts of a batch that are not sent yet go over the new connection, without an attempt that fails."""
    tries = Tries()
    events = evframe.EventInterface(plugins={"redis": RedisTransport(), "tries": tries})
    events.register_event("E_TEST")
    async with FaultProxy(redis.port) as proxy, events:
        lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{proxy.port}?stream={stream}")
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        proxy.hold_back()
        for number in range(1, 4):
            events.raise_event("E_TEST", [number, "x" * 700_000])
        await until(lambda: proxy.sent > 700_000)
        next(iter(events.plugin("redis")._servers.values())).retire()
        proxy.release()
        await until(lambda: not lease.subscriber.depth)
        assert proxy.connections == 2
    assert not tries.again
    assert numbers_in(redis, stream) == [0, 1, 2, 3]


@pytest.mark.parametrize("reply", [b"-ERR idle for too long\r\n", b"$3\r\n1-1\r\n"], ids=["refusal", "id"])
async def test_a_reply_that_nothing_has_asked_for(redis, stream, reply):
    """What comes on an idle connection is no outcome of the next event, which goes over another one."""
    async with FaultProxy(redis.port) as proxy, interface() as events:
        lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{proxy.port}?stream={stream}")
        for number in range(3):
            assert (await events.raise_event_and_wait("E_TEST", [number]))[0].delivered
            connection = next(iter(events.plugin("redis")._servers.values()))._link
            proxy.inject(reply)
            await until(lambda connection=connection: not connection.is_open)
        assert lease.subscriber.attempts == 0
        assert proxy.connections == 3
    assert numbers_in(redis, stream) == [0, 1, 2]


async def test_a_name_that_moves(redis, stream):
    """The connection is exchanged when the name has other addresses; none of the events is lost."""
    with FakeNames({"redis.example": ["127.0.0.1"]}) as names:
        events = interface(Config(core=CoreOptions(resolve_every_s=0.05)))
        events.resolver.lookup = names
        async with events, FaultProxy(redis.port) as old, FaultProxy(redis.port, old.port, "127.0.0.2") as new:
            events.subscribe_event("E_TEST", f"redis://redis.example:{old.port}?stream={stream}")
            await events.raise_event_and_wait("E_TEST", [0])
            names["redis.example"] = ["127.0.0.2"]
            number = 0
            while not new.connections:
                number += 1
                assert (await events.raise_event_and_wait("E_TEST", [number]))[0].delivered
                await asyncio.sleep(0.01)
    assert numbers_in(redis, stream) == list(range(number + 1))


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"SSH-2.0-x\r\n", "bad_reply"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "bad_reply"),
        (b"", "closed"),
        (b"+OK\r\n+OK\r\n", "bad_reply"),
        (b"$x\r\n", "bad_reply"),
        (b"x" * 200_000, "bad_reply"),
        (b"*1\r\n" * 50_000, "bad_reply"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        (b"-ERR max number of clients reached\r\n", "too_many_clients"),
        (b"-NOAUTH Authentication required.\r\n", "access_refused"),
        (b"+OK\r\n-READONLY You can't write against a read only replica.\r\n", "readonly"),
    ],
    ids=lambda value: repr(value)[2:14],
)
async def test_what_is_no_redis(garbage, reason):
    """Events wait for a server that takes them."""

    async def serve(reader, writer):
        await reader.read(10)
        writer.write(garbage)

    async with StreamServer(serve) as server, interface(QUICK_END) as events:
        lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{server.port}?stream=s")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.away)
        assert lease.subscriber.away == reason


@pytest.mark.parametrize("limit", ["connect", "login", "reply"])
async def test_waits_are_bounded(redis, stream, limit):
    """A server that says nothing is given up, and stops no other subscriber."""
    options = {"login_timeout_ms": 100} if limit == "login" else {"timeout_ms": 100}
    async with FaultProxy(redis.port) as proxy, interface(QUICK_END, **options) as events:
        port = proxy.port
        lease = events.subscribe_event("E_TEST", f"redis://127.0.0.1:{port}?stream={stream}")
        if limit == "reply":
            await events.raise_event_and_wait("E_TEST", [0])
        if limit == "connect":
            lease = events.subscribe_event("E_TEST", f"rediss://127.0.0.1:{port}?stream={stream}")
        proxy.hold()
        events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}?stream={stream}-2")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.away)
        assert lease.subscriber.away == f"{limit}_timeout".removeprefix("reply_")
        await until(lambda: numbers_in(redis, f"{stream}-2") == [1])


async def test_names_and_headers_of_events(redis, stream):
    """The headers of an event are fields of its entry."""
    async with interface() as events:
        events.trace_by(ByParameter())
        events.subscribe_event("E_TEST", f"redis://127.0.0.1:{redis.port}?stream={stream}")
        for params in ({"headers": {"traceparent": PARENT}}, {"n": 2}):
            await events.raise_event_and_wait("E_TEST", params)
    found = entries_in(redis, stream)
    assert [fields.get(b"traceparent") for fields in found] == [PARENT.encode(), None]
    assert [json.loads(fields[b"payload"])["params"].get("n") for fields in found] == [None, 2]
