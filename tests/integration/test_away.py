"""Kept subscribers: what a later attempt may mend is no failure, and the events arrive when it is mended."""

import asyncio
import json
import os
import re
import socket
import threading
import uuid

import failing_routes
import pytest
from aiohttp import web
from aiokafka.admin import NewPartitions
from brokers.queues import bodies_in, channel_of, make_queue
from brokers.redis import commands_of, entries_in
from brokers.streams import jetstream_of, make_stream, messages_in
from brokers.topics import administrating, make_topic, make_topics, records_in
from evframe_wire.framing import Splitter
from kept import away, delivered, kept
from sqs_front import Front, error
from stream_servers import StreamServer
from webhook_server import Server as WebServer
from xmlrpc_server import FAULT, OK, Server, http

import evframe
from evframe.testing import until


def numbers(payloads):
    return [json.loads(payload)["params"]["n"] for payload in payloads]


class Datagrams:
    """Takes datagrams on a thread; leaves without a loss of what the kernel has."""

    def __init__(self, family, address):
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(address)
        self._socket.settimeout(0.02)
        self._is_leaving = False
        self.payloads = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while True:
            try:
                self.payloads.append(self._socket.recv(65536))
            except TimeoutError:
                if self._is_leaving:
                    return

    def close(self):
        self._is_leaving = True
        self._thread.join()
        self._socket.close()


@pytest.fixture
def datagrams():
    opened = []

    def open_(family, address):
        opened.append(Datagrams(family, address))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize("count", [1, 200])
async def test_udp_without_a_process(tmp_path, datagrams, count):
    """UDP: while no process listens events wait, and the first attempt after that brings all of them, in order."""
    port = free_port()
    async with kept(tmp_path, f"udp:127.0.0.1:{port}", count=count) as events:
        await away(events, "refused")
        peer = datagrams(socket.AF_INET, ("127.0.0.1", port))
        await delivered(events)
        await until(lambda: len(peer.payloads) >= count)
    assert numbers(peer.payloads) == list(range(count))


async def test_a_datagram_that_is_too_large_fails(tmp_path, datagrams):
    """UDP and UNIX: an event that fits no datagram fails alone, also while the peer is away."""
    port = free_port()
    async with kept(tmp_path, f"udp:127.0.0.1:{port}", count=2) as events:
        events.raise_event("E_TEST", {"n": 2, "text": "x" * 70_000})
        events.raise_event("E_TEST", {"n": 3})
        await until(lambda: events.statistics[0].away == "refused")
        peer = datagrams(socket.AF_INET, ("127.0.0.1", port))
        await until(lambda: not events.statistics[0].depth)
        await until(lambda: len(peer.payloads) >= 3)
        assert events.statistics[0].reasons == {"too_large": 1}
    assert numbers(peer.payloads) == [0, 1, 3]


@pytest.mark.parametrize(("make", "reason"), [(None, "no_such_path"), (socket.SOCK_DGRAM, "refused")])
async def test_unix_without_a_reader(tmp_path, datagrams, make, reason):
    """UNIX datagrams: a path that is missing, or that no process reads, is away."""
    path = tmp_path / "peer"
    if make is not None:
        with socket.socket(socket.AF_UNIX, make) as left:
            left.bind(str(path))
    async with kept(tmp_path, f"unix:{path}", count=50) as events:
        await away(events, reason)
        path.unlink(missing_ok=True)
        peer = datagrams(socket.AF_UNIX, str(path))
        await delivered(events)
        await until(lambda: len(peer.payloads) >= 50)
    assert numbers(peer.payloads) == list(range(50))


async def test_unix_of_another_kind(tmp_path, datagrams):
    """UNIX datagrams: a path that another kind of socket, or a file, is at is away."""
    path = tmp_path / "peer"
    path.write_text("no socket")
    async with kept(tmp_path, f"unix:{path}") as events:
        await until(lambda: events.statistics[0].away)
        assert not events.statistics[0].failed
        path.unlink()
        peer = datagrams(socket.AF_UNIX, str(path))
        await delivered(events)
        await until(lambda: len(peer.payloads) >= 5)


def lines(path):
    return [int(line.rpartition(",")[2]) for line in path.read_text().splitlines()]


async def test_flatstore_whose_folder_is_moved(tmp_path):
    """Flatstore: while the folder is away lines wait; they are in the file once it is back."""
    folder = tmp_path / "folder"
    folder.mkdir()
    async with kept(tmp_path, f"flatstore:{folder}/file") as events:
        await delivered(events)
        folder.rename(tmp_path / "elsewhere")
        for number in range(5, 10):
            events.raise_event("E_TEST", {"n": number})
        await away(events, "no_directory")
        (tmp_path / "elsewhere").rename(folder)
        await delivered(events)
    assert lines(folder / "file") == list(range(10))


@pytest.mark.parametrize("name", ["file", "{n}"])
async def test_flatstore_whose_folder_is_not_there_at_the_start(tmp_path, name):
    """Flatstore: a gateway starts without the folder of a kept subscriber; other subscriptions are refused then."""
    folder = tmp_path / "folder"
    async with kept(tmp_path, f"flatstore:{folder}/{name}") as events:
        await away(events, "no_directory")
        folder.mkdir()
        await delivered(events)
        text = (tmp_path / "evframe.toml").read_text().replace('keep = "disk"', 'keep = "memory"')
        (tmp_path / "evframe.toml").write_text(text)
        events.reload()
        with pytest.raises(evframe.SocketError, match="expected a path in a directory that exists"):
            events.subscribe_event("E_TEST", f"flatstore:{tmp_path}/other/{name}")
    assert sorted(number for path in folder.iterdir() for number in lines(path)) == list(range(5))


async def test_flatstore_pipe_without_a_reader(tmp_path):
    """Flatstore: lines for a pipe wait for its reader."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    async with kept(tmp_path, f"flatstore:{path}") as events:
        await away(events, "no_reader")
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        await delivered(events)
        assert os.read(reader, 4096).count(b"\n") == 5
        os.close(reader)


async def test_flatstore_pipes_by_parameter(tmp_path):
    """Flatstore with a parameter: lines for one pipe wait for its reader, and those of other files do not."""
    os.mkfifo(tmp_path / "1")
    async with kept(tmp_path, f"flatstore:{tmp_path}/{{n}}") as events:
        await until(lambda: events.statistics[0].delivered == 4)
        await away(events, "no_reader")
        reader = os.open(tmp_path / "1", os.O_RDONLY | os.O_NONBLOCK)
        await delivered(events)
        assert os.read(reader, 4096).count(b"\n") == 1
        os.close(reader)


async def test_flatstore_name_that_is_a_folder_fails(tmp_path):
    """Flatstore with a parameter: a value that names a folder fails its event alone, because no other one can come."""
    (tmp_path / "1").mkdir()
    async with kept(tmp_path, f"flatstore:{tmp_path}/{{n}}") as events:
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].reasons == {"is_directory": 1}


@pytest.fixture
def routes():
    failing_routes.reset()
    yield failing_routes
    failing_routes.reset()


def routing(name, options=""):
    return f'[plugins.route]\n{options}\n[routes]\nE_TEST = "failing_routes:{name}"\n'


KINDS = pytest.mark.parametrize(("name", "options"), [("awaited", ""), ("plain", ""), ("plain", "inline = true")])


@KINDS
async def test_a_route_that_raises(tmp_path, routes, name, options):
    """Route: while it raises events wait; the first attempt after that brings all of them, in order."""
    routes.problems[-1] = RuntimeError("no database")
    async with kept(tmp_path, "route:E_TEST", routing(name, options), count=50) as events:
        await away(events, "route_error")
        routes.problems.clear()
        await delivered(events)
    assert routes.got == list(range(50))


@KINDS
async def test_a_poisoned_event(tmp_path, routes, name, options):
    """Route: an event that it fails for long while it takes others has failed; the others arrive once, in order."""
    routes.problems[2] = RuntimeError("poison")
    options += "\nkept_retry_s = 0.2"
    async with kept(tmp_path, "route:E_TEST", routing(name, options), count=50) as events:
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].reasons == {"route_error": 1}
    assert routes.got == [number for number in range(50) if number != 2]


@KINDS
async def test_two_poisoned_events(tmp_path, routes, name, options):
    """Route: each poisoned event is tried for long; what the route took behind them arrives again, in order."""
    routes.problems.update({2: RuntimeError("poison"), 3: RuntimeError("poison")})
    options += "\nkept_retry_s = 0.2"
    async with kept(tmp_path, "route:E_TEST", routing(name, options), count=10) as events:
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].reasons == {"route_error": 2}
    assert list(dict.fromkeys(routes.got)) == [0, 1, *range(4, 10)]


@KINDS
async def test_a_route_that_fails_all_gives_no_event_up(tmp_path, routes, name, options):
    """Route: as long as it takes no event at all, none has failed, however long that lasts."""
    routes.problems[-1] = RuntimeError("no database")
    options += "\nkept_retry_s = 0.01"
    async with kept(tmp_path, "route:E_TEST", routing(name, options), count=300) as events:
        await away(events, "route_error")
        await until(lambda: len(routes.calls) > 500)
        assert (routes.got, events.statistics[0].depth) == ([], 300)
        routes.problems.clear()
        await delivered(events)
    assert routes.got == list(range(300))


@KINDS
async def test_a_route_that_rejects(tmp_path, routes, name, options):
    """Route: with `Rejected` it says that no attempt can mend the event, which has failed at once."""
    routes.problems[2] = evframe.Rejected("no_customer")
    async with kept(tmp_path, "route:E_TEST", routing(name, options)) as events:
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].reasons == {"no_customer": 1}
    assert routes.got == [0, 1, 3, 4]


async def test_a_route_that_takes_too_long(tmp_path, routes):
    """Route: a call that takes too long is made again."""
    routes.problems[2] = None
    async with kept(tmp_path, "route:E_TEST", routing("hanging", "timeout_s = 0.2")) as events:
        await away(events, "timeout")
        routes.problems.clear()
        await delivered(events)
    assert routes.got == [0, 1, 2, 3, 4]


async def test_xmlrpc_server_that_is_not_there(tmp_path):
    """XML-RPC: while no server listens calls wait."""
    async with Server() as server:
        port = server.port
    async with kept(tmp_path, f"xmlrpc:127.0.0.1:{port}:call", count=20) as events:
        await away(events, "refused")
        async with Server(port=port) as server:
            await delivered(events)
    assert called(server) == list(range(20))


def called(server):
    return [int(re.search(rb"<int>(\d+)</int>|<i4>(\d+)</i4>", body)[1]) for _, body in server.requests]


@pytest.mark.parametrize("status", [404, 429, 502, 503])
async def test_xmlrpc_server_that_is_not_itself(tmp_path, status):
    """XML-RPC: a status that says nothing about the event has the call made again; order holds."""
    is_broken = True

    def answer(_):
        return http(b"", f"{status} Broken") if is_broken else http(OK)

    async with Server(answer) as server:
        async with kept(tmp_path, f"xmlrpc:127.0.0.1:{server.port}:call", count=20) as events:
            await away(events, f"http_{status}")
            server.requests.clear()
            is_broken = False
            await delivered(events)
    assert list(dict.fromkeys(called(server))) == list(range(20))


async def test_xmlrpc_server_that_does_not_answer(tmp_path):
    """XML-RPC: a call without an answer is made again."""
    answers = False
    async with Server(lambda _: http(OK) if answers else None) as server:
        socket = f"xmlrpc:127.0.0.1:{server.port}:call"
        async with kept(tmp_path, socket, "[plugins.xmlrpc]\ntimeout_ms = 100\n", count=20) as events:
            await away(events, "timeout")
            server.requests.clear()
            answers = True
            await delivered(events)
    assert list(dict.fromkeys(called(server))) == list(range(20))


@pytest.mark.parametrize("status", [401, 403, 404, 407, 429, 500])
async def test_webhook_server_that_is_not_itself(tmp_path, status):
    """Events wait for a web server that is set up otherwise, and arrive in order."""
    answers = [status]
    async with WebServer(lambda request, body: web.Response(status=answers[-1])) as server:
        async with kept(tmp_path, f"http://127.0.0.1:{server.port}/hook", count=20) as events:
            await away(events, f"http_{status}")
            server.requests.clear()
            answers.append(200)
            await delivered(events)
    assert list(dict.fromkeys(numbers(server.bodies))) == list(range(20))


async def test_webhook_that_is_refused_fails(tmp_path):
    """What the web server will never take fails alone."""

    def answer(request, body):
        return web.Response(status=400 if b'"n":1}' in body else 200)

    async with WebServer(answer) as server:
        async with kept(tmp_path, f"http://127.0.0.1:{server.port}/hook") as events:
            await until(lambda: events.statistics[0].delivered == 4)
            assert events.statistics[0].reasons == {"http_400": 1}


async def test_xmlrpc_fault_fails(tmp_path):
    """XML-RPC: a fault, and a status about the call, fail the event."""
    answers = [http(FAULT), http(b"", "500 Error"), http(OK), http(OK), http(OK)]
    async with Server(lambda number: answers[number - 1]) as server:
        async with kept(tmp_path, f"xmlrpc:127.0.0.1:{server.port}:call") as events:
            await until(lambda: not events.statistics[0].depth)
            assert events.statistics[0].reasons == {"fault": 1, "http_500": 1}


async def test_tcp_peer_that_does_not_answer(tmp_path):
    """TCP, reliable: a request without a reply is made again, on another connection; order holds."""
    got, may_answer = [], asyncio.Event()

    async def serve(reader, writer):
        splitter = Splitter(1 << 20)
        while data := await reader.read(1 << 16):
            for request in splitter.read(data):
                got.append(request["params"]["n"])
                if may_answer.is_set():
                    writer.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": 1}).encode())

    options = "[plugins.stream]\nreliable_mode = true\ntimeout_ms = 100\n"
    async with StreamServer(serve) as server:
        async with kept(tmp_path, f"tcp:127.0.0.1:{server.port}", options, count=50) as events:
            await away(events, "timeout")
            got.clear()
            may_answer.set()
            await delivered(events)
    assert list(dict.fromkeys(got)) == list(range(50))


async def test_rabbitmq_queue_that_is_not_there(tmp_path, rabbitmq):
    """RabbitMQ: messages wait for the queue that the socket names."""
    name = f"away-{tmp_path.name}"
    async with kept(tmp_path, f"rabbitmq:127.0.0.1:{rabbitmq.port}/{name}", count=200) as events:
        await away(events, "unroutable")
        await make_queue(rabbitmq, name)
        await delivered(events)
    assert numbers(await bodies_in(rabbitmq, name)) == list(range(200))


async def test_rabbitmq_exchange_that_is_not_there(tmp_path, rabbitmq):
    """RabbitMQ: messages wait for the exchange."""
    name = f"away-{tmp_path.name}"
    async with kept(tmp_path, f"rabbitmq:127.0.0.1:{rabbitmq.port}/exchange={name}?key", count=200) as events:
        await away(events, "not_found")
        async with channel_of(rabbitmq) as channel:
            exchange = await channel.declare_exchange(name, "direct", durable=True)
            queue = await channel.declare_queue(name, durable=True)
            await queue.bind(exchange, "key")
            await delivered(events)
            await exchange.delete(if_unused=False)
    assert list(dict.fromkeys(numbers(await bodies_in(rabbitmq, name)))) == list(range(200))


async def test_rabbitmq_queue_that_is_full(tmp_path, rabbitmq):
    """RabbitMQ: messages that a full queue does not take wait until it has room."""
    name = f"away-{tmp_path.name}"
    async with channel_of(rabbitmq) as channel:
        full = {"x-max-length": 3, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue(name, durable=True, arguments=full)
        async with kept(tmp_path, f"rabbitmq:127.0.0.1:{rabbitmq.port}/{name}", count=10) as events:
            await away(events, "nacked")
            got = []
            while len(set(got)) < 10:
                message = await queue.get(no_ack=True, fail=False)
                if message is not None:
                    got += numbers([message.body])
            await delivered(events)
        await queue.delete(if_unused=False, if_empty=False)
    assert list(dict.fromkeys(got)) == list(range(10))


async def test_rabbitmq_key_that_an_event_names_fails(tmp_path, rabbitmq):
    """RabbitMQ: an event that names a queue which is not there has failed alone."""
    name = f"away-{tmp_path.name}"
    await make_queue(rabbitmq, f"{name}3")
    async with kept(tmp_path, f"rabbitmq:127.0.0.1:{rabbitmq.port}/{name}{{n}}") as events:
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].reasons == {"unroutable": 4}
    assert numbers(await bodies_in(rabbitmq, f"{name}3")) == [3]


async def test_nats_stream_that_is_full(tmp_path, nats):
    """NATS: messages that a full stream refuses wait until it has room."""
    name = f"s{tmp_path.name.replace('_', '')}"
    await make_stream(nats, name, max_msgs=3, discard="new")
    async with kept(tmp_path, f"nats://127.0.0.1:{nats.port}/{name}.a", count=10) as events:
        await away(events, "nacked")
        async with jetstream_of(nats) as jetstream:
            await jetstream.update_stream(name=name, subjects=[f"{name}.>"], max_msgs=100, discard="new")
        await delivered(events)
    assert numbers(message.data for message in await messages_in(nats, name)) == list(range(10))


async def test_kafka_topic_that_is_not_there(tmp_path, kafka):
    """Kafka: records wait for the topic that the socket names."""
    name = f"away-{uuid.uuid4().hex[:8]}"
    async with kept(tmp_path, f"kafka:127.0.0.1:{kafka.port}/{name}", count=200) as events:
        await away(events, "unknown_topic")
        await make_topics(kafka, [name])
        await delivered(events)
    assert numbers([record.value for record in await records_in(kafka, name)]) == list(range(200))


async def test_kafka_partition_that_is_not_there(tmp_path, kafka):
    """Kafka: records wait for the partition that the socket names."""
    name = await make_topic(kafka)
    async with kept(tmp_path, f"kafka:127.0.0.1:{kafka.port}/{name}?partition=1", count=200) as events:
        await away(events, "unknown_partition")
        async with administrating(kafka) as admin:
            await admin.create_partitions({name: NewPartitions(2)})
        await delivered(events)
    assert numbers([record.value for record in await records_in(kafka, name, 2)]) == list(range(200))


async def test_kafka_topic_that_an_event_names_fails(tmp_path, kafka):
    """Kafka: an event that names a topic which is not there has failed alone."""
    name = f"away-{uuid.uuid4().hex[:8]}-"
    await make_topics(kafka, [f"{name}3"])
    options = "[plugins.kafka]\ntopic_timeout_ms = 0\n"
    async with kept(tmp_path, f"kafka:127.0.0.1:{kafka.port}/{name}{{n}}", options) as events:
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].reasons == {"unknown_topic": 4}
    assert numbers([record.value for record in await records_in(kafka, f"{name}3")]) == [3]


@pytest.mark.parametrize("kind", ["PARALLEL", "FAILOVER", "ROUND-ROBIN"])
async def test_virtual_members_that_are_away(tmp_path, datagrams, kind):
    """Virtual: what its members do not take waits on disk, however many events; a reload changes nothing about it."""
    paths = [tmp_path / "first", tmp_path / "second"]
    members = " ".join(f"unix:{path}" for path in paths)
    options = "[core]\nqueue_size = 10\n[plugins.virtual]\nfailover_timeout_s = 0.05\n"
    async with kept(tmp_path, f"virtual:{kind} {members}", options, count=3000) as events:
        await until(lambda: events.statistics[0].depth == 3000)
        events.reload()
        for number in range(3000, 20_000):
            events.raise_event("E_TEST", {"n": number})
        peers = [datagrams(socket.AF_UNIX, str(path)) for path in paths]
        await delivered(events)
        expected = sorted([*range(20_000)] * (2 if kind == "PARALLEL" else 1))
        await until(lambda: sum(len(peer.payloads) for peer in peers) >= len(expected))
    got = [numbers(peer.payloads) for peer in peers]
    assert sorted(got[0] + got[1]) == expected
    assert kind == "ROUND-ROBIN" or got[0] == sorted(got[0])


@pytest.mark.parametrize("kind", ["PARALLEL", "FAILOVER"])
async def test_virtual_after_a_restart(tmp_path, datagrams, kind):
    """Virtual: what waits for its members is delivered by the next process."""
    path = tmp_path / "peer"
    socket_ = f"virtual:{kind} unix:{path} unix:{path}2"
    async with kept(tmp_path, socket_, count=500) as events:
        await until(lambda: events.statistics[0].depth == 500)
    peers = [datagrams(socket.AF_UNIX, f"{path}{end}") for end in ("", "2")]
    async with kept(tmp_path, socket_, count=0) as events:
        await delivered(events)
        await until(lambda: len(peers[0].payloads) >= 500)
    assert numbers(peers[0].payloads) == list(range(500))
    assert len(peers[1].payloads) == (500 if kind == "PARALLEL" else 0)


@pytest.mark.parametrize("kind", ["PARALLEL", "FAILOVER"])
async def test_virtual_with_a_policy_that_a_reload_brings(tmp_path, datagrams, kind):
    """Virtual: a group that is kept from a reload on loses nothing, however many events its members do not take."""
    path = tmp_path / "peer"
    first = datagrams(socket.AF_UNIX, str(path))
    async with kept(tmp_path, f"virtual:{kind} unix:{path}", "[core]\nqueue_size = 10\n", count=0) as events:
        file = tmp_path / "evframe.toml"
        text = file.read_text()
        file.write_text(text.replace('keep = "disk"', 'keep = "memory"'))
        events.reload()
        events.raise_event("E_TEST", {"n": 0})
        await delivered(events)
        first.close()
        path.unlink()
        file.write_text(text)
        events.reload()
        for number in range(1, 20_000):
            events.raise_event("E_TEST", {"n": number})
        second = datagrams(socket.AF_UNIX, str(path))
        await delivered(events)
        await until(lambda: len(second.payloads) >= 19_999)
    assert numbers(second.payloads) == list(range(1, 20_000))


async def test_redis_value_that_is_no_stream(tmp_path, redis):
    """Redis: events wait until the name of the stream is free, and arrive in order."""
    name = f"away-{tmp_path.name}"
    with commands_of(redis) as commands:
        commands.set(name, "text")
        async with kept(tmp_path, f"redis://127.0.0.1:{redis.port}?stream={name}", count=200) as events:
            await away(events, "wrongtype")
            commands.delete(name)
            await delivered(events)
    assert numbers([fields[b"payload"] for fields in entries_in(redis, name)]) == list(range(200))


async def test_redis_stream_that_an_event_names_fails(tmp_path, redis):
    """Redis: an event that names another type of value fails alone."""
    name = f"away-{tmp_path.name}"
    with commands_of(redis) as commands:
        commands.set(f"{name}3", "text")
    async with kept(tmp_path, f"redis://127.0.0.1:{redis.port}?stream={name}{{n}}") as events:
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].reasons == {"wrongtype": 1}


async def test_a_queue_that_is_made_later(tmp_path, moto):
    """Events wait for a queue that does not exist, and for the permission to write; nothing of it is a failure."""
    name = f"away-{uuid.uuid4().hex}"
    answers = [error("AccessDenied", 403)]
    keys = '[plugins.sqs]\naccess_key_id = "key"\nsecret_access_key = "secret"\nregion = "us-east-1"\n'
    async with Front(moto.port, lambda *_: answers[0] if answers else None) as front:
        async with kept(tmp_path, f"sqs:http://127.0.0.1:{front.port}/123456789012/{name}", keys) as events:
            await away(events, "access_refused")
            answers.clear()
            await away(events, "not_found")
            url = await asyncio.to_thread(moto.make_queue, name)
            await delivered(events)
    assert numbers(each["Body"] for each in await asyncio.to_thread(moto.take_all, url)) == list(range(5))
