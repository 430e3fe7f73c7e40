"""A configuration that is loaded again under load: each transport goes on, and each plugin takes its options or none does."""

import asyncio
import http.client
import itertools
import json
import signal
import socket
import sys
import threading
import uuid
from contextlib import asynccontextmanager
from typing import ClassVar
from xmlrpc.client import loads

import aio_pika
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from brokers.load import LIMIT_S, RATE
from brokers.redis import entries_in
from brokers.streams import make_stream, messages_in
from brokers.topics import make_topic
from numbered import assert_exactly, assert_in_order
from stream_servers import StreamServer, connection_to
from webhook_server import Server

import evframe
from evframe.testing import ConfigFile, until

COUNT = 10 * RATE
RELOADS, CHUNK = 5, 50
EVENT = '[[events]]\nname = "E_TEST"\n[[subscriptions]]\nevent = "E_TEST"\nsocket = {}\n'
pytestmark = pytest.mark.timeout(60 + LIMIT_S)


class Site:
    """An interface with one subscriber of one transport, and events in numbers."""

    def __init__(self, path, target, *plugins):
        self.file = ConfigFile(path, *plugins)
        self.subscription = EVENT.format(json.dumps(target))

    def text(self, options):
        return options + self.subscription

    async def run(self, *options, count=COUNT, ready=None):
        """Raise the numbers, load the configuration again with each of *options* in turn, and return the counters."""
        async with self.file.interface(self.text(options[0])) as events:
            if ready is not None:
                await ready()
            each = count // (RELOADS + 1)
            reloads = {each * number: options[number % len(options)] for number in range(1, RELOADS + 1)}
            for number in range(count):
                if number in reloads:
                    self.file.write(self.text(reloads[number]))
                    assert events.reload().plugins
                events.raise_event("E_TEST", {"n": number})
                if not number % CHUNK:
                    await asyncio.sleep(0.002)
                    while max(counters.depth for counters in events.statistics) > 4000:
                        await asyncio.sleep(0.002)
            await until(lambda: not any(counters.depth for counters in events.statistics), LIMIT_S)
            counters = events.statistics[0]
        assert (counters.raised, counters.delivered, counters.failed) == (count, count, 0), counters
        return counters


def numbers_of(messages):
    return [json.loads(message)["params"]["n"] for message in messages]


@asynccontextmanager
async def serving(answer):
    """Serve connections with *answer*, until all of them have ended; gives the server."""
    async with StreamServer(answer) as server:
        yield server
        await server.ended()


class Datagrams:
    """Reads a socket on a thread of its own."""

    def __init__(self, sock):
        self.messages = []
        self.sock = sock
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.thread = threading.Thread(target=self.read)

    def read(self):
        while message := self.sock.recv(65536):
            self.messages.append(message)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()


async def test_flatstore(tmp_path):
    """Each line is there once and in order, with the delimiter of its time, across rotations."""
    lines = tmp_path / "lines"
    site = Site(tmp_path / "evframe.toml", f"flatstore:{lines}", "flatstore")
    options = ['[plugins.flatstore]\ndelimiter = ","\n', '[plugins.flatstore]\ndelimiter = "|"\nrotate_count = 10000\n']
    await site.run(*options)
    written = lines.read_text().splitlines()
    assert_exactly([int(line[7:]) for line in written], COUNT)
    changes = sum(before[6] != after[6] for before, after in itertools.pairwise(written))
    assert changes == RELOADS


async def test_stream(tmp_path):
    """Over TCP nothing is lost and nothing comes again, when a connection is read to its end before the next one."""
    connections = []

    async def answer(reader, _):
        connections.append(received := [])
        while data := await reader.read(1 << 16):
            received.append(data)

    async with serving(answer) as server:
        site = Site(tmp_path / "evframe.toml", f"tcp:127.0.0.1:{server.port}", "stream")
        await site.run(*(f"[plugins.stream]\nnewline_framing = {word}\n" for word in ("true", "false")))
    messages = b"".join(itertools.chain(*connections)).replace(b"}{", b"}\n{").split()
    assert_exactly(numbers_of(messages), COUNT)
    assert len(connections) == RELOADS + 1


async def test_stream_with_replies(tmp_path):
    """Requests that are under way have their replies from the connection that they went over; none is sent twice."""
    numbers = []

    async def answer(reader, writer):
        while line := await reader.readline():
            request = json.loads(line)
            numbers.append(request["params"]["n"])
            writer.write(b'{"jsonrpc":"2.0","result":"OK","id":%d}' % request["id"])

    async with serving(answer) as server:
        site = Site(tmp_path / "evframe.toml", f"tcp:127.0.0.1:{server.port}", "stream")
        head = "[plugins.stream]\nreliable_mode = true\nnewline_framing = true\ntimeout_ms = "
        await site.run(*(f"{head}{limit}\n" for limit in (20_000, 30_000)))
    assert_exactly(numbers, COUNT)


async def test_stream_that_is_reset(tmp_path):
    """What a peer resets while reloads go on is sent again: all of it is there, in order, and some of it twice."""
    numbers = []

    async def answer(reader, writer):
        for received in range(700):
            line = await reader.readline()
            if not line:
                return
            request = json.loads(line)
            numbers.append(request["params"]["n"])
            if received < 690:
                writer.write(b'{"jsonrpc":"2.0","result":"OK","id":%d}' % request["id"])
        writer.transport.abort()

    async with serving(answer) as server:
        site = Site(tmp_path / "evframe.toml", f"tcp:127.0.0.1:{server.port}", "stream")
        head = "[plugins.stream]\nreliable_mode = true\nnewline_framing = true\ntimeout_ms = "
        await site.run(*(f"{head}{limit}\n" for limit in (20_000, 30_000)), count=6000)
    assert_in_order(numbers, 6000)
    assert len(numbers) > 6000


async def test_stream_without_replies(tmp_path):
    """Requests that nobody answers do not keep the old connection; they are sent again over the one that follows."""
    numbers = []

    async def answer(reader, writer):
        first = not numbers
        while line := await reader.readline():
            request = json.loads(line)
            numbers.append(request["params"]["n"])
            if not first:
                writer.write(b'{"jsonrpc":"2.0","result":"OK","id":%d}' % request["id"])

    async with serving(answer) as server:
        file = ConfigFile(tmp_path / "evframe.toml", "stream")
        head = "[core]\ndrain_timeout_s = 0.2\n[plugins.stream]\nreliable_mode = true\nnewline_framing = true\n"
        ends = EVENT.format(f'"tcp:127.0.0.1:{server.port}"')
        async with file.interface(f"{head}timeout_ms = 20000\n{ends}") as events:
            for number in range(100):
                events.raise_event("E_TEST", {"n": number})
            await until(lambda: len(numbers) == 100)
            file.write(f"{head}timeout_ms = 30000\n{ends}")
            events.reload()
            for number in range(100, 200):
                events.raise_event("E_TEST", {"n": number})
            await until(lambda: events.statistics[0].delivered == 200)
    assert numbers == [*range(100), *range(200)]


async def test_xmlrpc(tmp_path):
    """Calls that are under way have their answers before the next ones are made."""
    ok = b"<methodResponse><params><param><value><int>1</int></value></param></params></methodResponse>"
    numbers = []

    async def answer(reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            numbers.append(loads(await reader.readexactly(length))[0][1])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ok), ok))

    async with serving(answer) as server:
        site = Site(tmp_path / "evframe.toml", f"xmlrpc:127.0.0.1:{server.port}:m", "xmlrpc")
        await site.run(*(f"[plugins.xmlrpc]\nmax_in_flight = {most}\n" for most in (16, 64)), count=6000)
    assert_exactly(numbers, 6000)


async def test_webhooks(tmp_path):
    """Requests that are under way have their answers before the next ones are made; secrets are those of the moment."""
    secrets = ("c2VjcmV0" * 4, "ZXhwb3Nl" * 4)
    targets = (f'[[plugins.webhook.targets]]\nurl = "*"\nsecret = "{secret}"\n' for secret in secrets)
    async with Server() as server:
        site = Site(tmp_path / "evframe.toml", f"http://127.0.0.1:{server.port}/hook", "webhook")
        await site.run(*targets, count=3000)
    assert_exactly(numbers_of(server.bodies), 3000)
    ids = [request.headers["webhook-id"] for request, _ in server.requests]
    assert len(set(ids)) == 3000


@pytest.mark.parametrize("way", ["tcp", "tls"])
async def test_syslog(tmp_path, rsyslog, way):
    """Messages that are under way are acknowledged before the next ones are written."""
    port = rsyslog.tls_port if way == "tls" else rsyslog.port
    site = Site(tmp_path / "evframe.toml", f"syslog:{way}:localhost:{port}", "syslog")
    tables = (
        f'[plugins.syslog]\nhostname = "{way}"\nca_file = "{rsyslog.authority}"\napp_name = "{name}"\n' for name in "ab"
    )
    await site.run(*tables, count=3000)
    await until(lambda: len(rsyslog.messages(way)) >= 3000)
    assert_exactly([int(each["data"]["event@32473"]["n"]) for each in rsyslog.messages(way)], 3000)


async def test_sqs(tmp_path, moto):
    """Requests that are under way have their answers before the next ones are made."""
    url = await asyncio.to_thread(moto.make_queue, "reloaded")
    keys = '[plugins.sqs]\naccess_key_id = "key"\nsecret_access_key = "secret"\nregion = "us-east-1"\n'
    site = Site(tmp_path / "evframe.toml", f"sqs:{url}", "sqs")
    await site.run(*(f"{keys}timeout_ms = {number}\n" for number in (20_000, 30_000)), count=300)
    assert_exactly(numbers_of(each["Body"] for each in await asyncio.to_thread(moto.take_all, url)), 300)


async def test_datagram_is_as_it_was(tmp_path):
    """A transport whose options do not change is left alone when another one is exchanged."""
    for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, str(tmp_path / "socket"))):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind(address)
        target = f"unix:{address}" if isinstance(address, str) else "udp:127.0.0.1:%d" % sock.getsockname()[1]
        with Datagrams(sock) as receiver:
            site = Site(tmp_path / "evframe.toml", target, "datagram", "stream")
            await site.run(*(f"[plugins.stream]\nnewline_framing = {word}\n" for word in ("true", "false")))
            await until(lambda found=receiver: len(found.messages) == COUNT)
        assert_exactly(numbers_of(receiver.messages), COUNT)


class Routes:
    """Callables for events; the module is this one."""

    numbers: ClassVar = []

    @staticmethod
    async def awaited(event):
        if not event["n"] % 100:
            await asyncio.sleep(0.001)
        Routes.numbers.append(event["n"])

    @staticmethod
    def on_a_thread(event):
        Routes.numbers.append(event["n"])


@pytest.mark.parametrize("names", [("awaited", "awaited"), ("on_a_thread", "on_a_thread"), ("awaited", "on_a_thread")])
async def test_route(tmp_path, monkeypatch, names):
    """Each event reaches a route once and in order, when its limit changes and when the route itself does."""
    Routes.numbers.clear()
    monkeypatch.setitem(sys.modules, "routes_under_test", Routes)
    file = ConfigFile(tmp_path / "evframe.toml", "route")
    texts = [
        f'[plugins.route]\ntimeout_s = {limit}\n[routes]\nE_TEST = "routes_under_test:{name}"\n'
        for limit, name in zip((20.0, 30.0), names, strict=True)
    ]
    async with file.interface(texts[0]) as events:
        each = COUNT // (RELOADS + 1)
        for number in range(COUNT):
            if number and not number % each:
                file.write(texts[number // each % 2])
                assert events.reload().plugins == ["route"]
            events.raise_event("E_TEST", {"n": number})
            if not number % CHUNK:
                await asyncio.sleep(0.001)
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].delivered == COUNT
    assert_exactly(Routes.numbers, COUNT)


@pytest.mark.parametrize("policy", ["FAILOVER", "ROUND-ROBIN", "PARALLEL"])
async def test_virtual(tmp_path, policy):
    """Members go on with transports that are exchanged under them, and so does the group when it is exchanged itself."""
    lines, numbers = tmp_path / "lines", []

    async def answer(reader, writer):
        while line := await reader.readline():
            request = json.loads(line)
            numbers.append(request["params"]["n"])
            writer.write(b'{"jsonrpc":"2.0","result":"OK","id":%d}' % request["id"])

    def text(limit, delimiter, failover_s):
        return (
            f"[plugins.stream]\nreliable_mode = true\nnewline_framing = true\ntimeout_ms = {limit}\n"
            f'[plugins.flatstore]\ndelimiter = "{delimiter}"\n[plugins.virtual]\nfailover_timeout_s = {failover_s}\n'
        )

    async with serving(answer) as server:
        target = f"virtual:{policy} tcp:127.0.0.1:{server.port} flatstore:{lines}"
        site = Site(tmp_path / "evframe.toml", target, "virtual", "stream", "flatstore")
        await site.run(text(20_000, ",", 5.0), text(30_000, ",", 5.0), text(30_000, "|", 5.0), text(30_000, "|", 6.0))
    written = [int(line[7:]) for line in lines.read_text().splitlines()] if lines.exists() else []
    if policy == "PARALLEL":
        assert_exactly(numbers, COUNT)
        assert_exactly(written, COUNT)
    elif policy == "FAILOVER":
        assert_exactly(numbers, COUNT)
        assert written == []
    else:
        assert_exactly(sorted([*numbers, *written]), COUNT)
        assert numbers == sorted(numbers)
        assert written == sorted(written)


async def test_failover_under_reloads(tmp_path):
    """A member that goes away and comes back while its transport is exchanged hands over, and loses nothing."""
    lines, numbers = tmp_path / "lines", []

    async def answer(reader, writer):
        while line := await reader.readline():
            request = json.loads(line)
            numbers.append(request["params"]["n"])
            writer.write(b'{"jsonrpc":"2.0","result":"OK","id":%d}' % request["id"])
            if len(numbers) == COUNT // 4:
                server.reset()
                return

    def text(limit, delimiter):
        return (
            f"[plugins.stream]\nreliable_mode = true\nnewline_framing = true\ntimeout_ms = {limit}\n"
            f'[plugins.flatstore]\ndelimiter = "{delimiter}"\n[plugins.virtual]\nfailover_timeout_s = 0.3\n'
        )

    async with serving(answer) as server:
        target = f"virtual:FAILOVER tcp:127.0.0.1:{server.port} flatstore:{lines}"
        site = Site(tmp_path / "evframe.toml", target, "virtual", "stream", "flatstore")
        await site.run(text(20_000, ","), text(30_000, ","), text(30_000, "|"))
    written = [int(line[7:]) for line in lines.read_text().splitlines()]
    assert_exactly(sorted({*numbers, *written}), COUNT)
    assert written == sorted(written)
    assert written
    assert len(numbers) + len(written) - COUNT < 4000  # what was under way when the connection was reset


async def test_nats(tmp_path, nats):
    """Every message is in the stream, once and in order."""
    name = f"s{uuid.uuid4().hex[:8]}"
    await make_stream(nats, name)
    site = Site(tmp_path / "evframe.toml", f"nats://127.0.0.1:{nats.port}/{name}.a", "nats")
    await site.run(*(f"[plugins.nats]\nmax_in_flight = {most}\n" for most in (2048, 4096)))
    assert_exactly(numbers_of(message.data for message in await messages_in(nats, name)), COUNT)


async def test_rabbitmq(tmp_path, rabbitmq):
    """Every message is in the queue, in order; what is there twice was sent again after a connection was given up."""
    url = f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/"
    name = f"reloaded-{uuid.uuid4().hex[:8]}"
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).declare_queue(name)
        site = Site(tmp_path / "evframe.toml", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{name}", "rabbitmq")
        await site.run(*(f"[plugins.rabbitmq]\nmax_in_flight = {most}\n" for most in (4096, 8192)))
        numbers = []
        async with asyncio.timeout(LIMIT_S), queue.iterator(no_ack=True) as messages:
            while len(set(numbers)) < COUNT:
                numbers.append(json.loads((await anext(messages)).body)["params"]["n"])
        await queue.delete()
    assert_exactly(numbers, COUNT)


async def test_redis(tmp_path, redis):
    """Every entry is in the stream once and in order."""
    name = f"reloaded-{uuid.uuid4().hex[:8]}"
    site = Site(tmp_path / "evframe.toml", f"redis://127.0.0.1:{redis.port}?stream={name}", "redis")
    await site.run(*(f"[plugins.redis]\ntimeout_ms = {limit}\n" for limit in (10_000, 20_000)))
    assert_exactly(numbers_of([fields[b"payload"] for fields in entries_in(redis, name)]), COUNT)


async def test_kafka(tmp_path, kafka):
    """Every record is in the topic once and in order."""
    name = await make_topic(kafka)
    server = f"127.0.0.1:{kafka.port}"
    site = Site(tmp_path / "evframe.toml", f"kafka:{server}/{name}", "kafka")
    await site.run(*(f"[plugins.kafka]\nbatch_bytes = {size}\n" for size in (131_072, 262_144)))
    consumer = AIOKafkaConsumer(bootstrap_servers=server, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(name, 0)])
        records = []
        async with asyncio.timeout(LIMIT_S):
            while len(records) < COUNT:
                for found in (await consumer.getmany(timeout_ms=200)).values():
                    records += [record.value for record in found]
    finally:
        await consumer.stop()
    assert_exactly(numbers_of(records), COUNT)


def state(events):
    """Return what the plugins of `test_all_or_nothing` go by."""
    http, datagram, fifo = (events.plugin(name) for name in ("mi-http", "mi-datagram", "mi-fifo"))
    dispatcher, core = events.plugin("dispatcher"), events.plugin("core-events")
    return (
        (http.address, http._rules),
        (datagram.address, datagram._options),
        fifo._options,
        [(each.uri, each.health.state) for each in dispatcher._sets],
        (core._options, len(events._roster.scheduler._observers)),
        events.plugin("fraud-detection").rules,
        (events.plugin("pike").detector._limit, events.plugin("pike").detector._window_s),
        events.plugin("lease-events")._notices.notice_s,
        events.plugin("stream"),
    )


@pytest.fixture
def used_port():
    """Yield a port in use, until the test ends: another process could take one that is free for a moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_all_or_nothing(tmp_path, used_port):
    """Whichever plugin refuses, those before and after it are as they were; once it does not, all have changed."""
    names = (
        "mi-http",
        "mi-datagram",
        "mi-fifo",
        "dispatcher",
        "core-events",
        "fraud-detection",
        "lease-events",
        "pike",
    )
    file = ConfigFile(tmp_path / "evframe.toml", *names, "mi", "stream", "opensips")
    taken = tmp_path / "taken"
    taken.write_text("no FIFO\n")

    def text(**changes):
        options = {
            "mi-http": 'bind = "127.0.0.1:0"',
            "mi-datagram": 'socket_name = "udp:127.0.0.1:0"',
            "mi-fifo": f"fifo_name = '{tmp_path}/fifo'",
        } | {name.replace("_", "-"): value for name, value in changes.items()}
        return "".join(f"[plugins.{name}]\n{value}\n" for name, value in options.items())

    changed = {
        "mi_http": 'bind = "127.0.0.2:0"\npath = "/other"',
        "mi_datagram": 'socket_name = "udp:127.0.0.2:0"\npretty_printing = true',
        "mi_fifo": f"fifo_name = '{tmp_path}/other'",
        "dispatcher": 'destinations = [{ set = 1, uri = "sip:b" }]\nds_ping_interval_s = 5',
        "core_events": "delivery_threshold_us = 5\nlog_event_enabled = true",
        "fraud_detection": "rules = [{ ruleid = 1, profileid = 1 }]",
        "lease_events": "notice_s = 5",
        "pike": "reqs_density_per_unit = 5\nsampling_time_unit_s = 9",
        "stream": "newline_framing = true",
    }
    begin = {"dispatcher": 'destinations = [{ set = 1, uri = "sip:a" }]'}
    async with file.interface(text(**begin)) as events:
        events.plugin("dispatcher").mark(events.plugin("dispatcher").find(1, "sip:a"), "i")
        before = state(events)
        for name, value, problem in (
            ("opensips", "max_message_bytes = 70000", "plugins.opensips.max_message_bytes: expected 1048576 as before"),
            ("mi_fifo", f"fifo_name = '{taken}'", f"plugins.mi-fifo.fifo_name: '{taken}': expected nothing, or a FIFO"),
            ("mi_http", f'bind = "127.0.0.1:{used_port}"', "plugins.mi-http.bind: .*Address already in use"),
        ):
            file.write(text(**{**changed, name: value}))
            with pytest.raises(evframe.ConfigError, match=problem):
                events.reload()
            assert state(events) == before
            await asyncio.sleep(0.01)
            assert state(events) == before
            async with asyncio.timeout(10), connection_to(before[0][0]) as (reader, writer):
                writer.write(
                    b"POST /mi HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
                )
                assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        file.write(text(**changed))
        assert sorted(events.reload().plugins) == sorted([*names, "stream"])
        after = state(events)
        assert all(new != old for new, old in zip(after, before, strict=True))


def test_signals_under_load(gateway, tmp_path):
    """A gateway that is told to load its file again, at another address each time, answers and delivers all."""
    lines = tmp_path / "lines"

    def text(number):
        return (
            f'[[events]]\nname = "E_TEST"\n[[subscriptions]]\nevent = "E_TEST"\nsocket = "flatstore:{lines}"\n'
            f'[plugins.flatstore]\ndelimiter = "{",|"[number % 2]}"\n'
        )

    running = gateway(text(0))
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    count = 3000
    for number in range(count):
        if number and not number % (count // (RELOADS + 1)):
            turn = number // (count // (RELOADS + 1))
            bind = f'[plugins.mi-http]\nbind = "127.0.0.{1 + turn % 2}:0"\n'
            (tmp_path / "evframe.toml").write_text(bind + text(turn))
            running.process.send_signal(signal.SIGHUP)
        body = b'{"jsonrpc":"2.0","id":%d,"method":"evi:raise","params":["E_TEST",{"n":%d}]}' % (number, number)
        connection.request("POST", "/mi", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert (response.status, b'"OK"' in response.read()) == (200, True)
    told = [running.line("the configuration was loaded again") for _ in range(RELOADS)]
    assert all(line["plugins"] == ["flatstore", "mi-http"] for line in told)
    connection.close()
    assert running.stop() == 0
    assert_exactly([int(line[7:]) for line in lines.read_text().splitlines()], count)
