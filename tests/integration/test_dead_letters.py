"""Poisoned events: what a transport will not take is a dead letter, whichever transport it is, and can be sent again."""

import asyncio
import json
import re
import socket
from contextlib import asynccontextmanager
from functools import partial

import failing_routes
import pytest
from brokers.queues import bodies_in, make_queue
from brokers.topics import make_topic, records_in
from evframe_mi.testing import management
from evframe_wire.framing import Splitter
from stream_servers import StreamServer
from xmlrpc_server import FAULT, OK, Server, http

import evframe
from evframe.testing import until

LARGE = "x" * 70_000
HUGE = "x" * 2_000_000


def interface(folder, more, queue_size=1000):
    path = folder / "evframe.toml"
    path.write_text(f"""
[core]
drain_timeout_s = 0.1
queue_size = {queue_size}
[plugins]
disable = ["mi-http", "mi-fifo", "mi-datagram"]
[plugins.journal]
path = "{folder / "journal"}"
[management]
file_roots = ["{folder}"]
[[policies]]
socket = "*"
dead_letter = true
[[events]]
name = "E_TEST"
{more}
""")
    return evframe.EventInterface.from_toml(path)


async def call(events, method, params=()):
    request = {"jsonrpc": "2.0", "id": 1, "method": f"dead_letters:{method}", "params": params}
    answer = json.loads(await management(events).answer(json.dumps(request).encode(), "client"))
    assert "result" in answer, answer
    return answer["result"]


async def letters(events, count):
    """Return the letters, when there are *count*."""
    await until(lambda: events.plugin("journal").letters.count == count)
    return (await call(events, "list"))["Letters"]


async def replay(events, **params):
    """Return a replay when it is over."""
    number = (await call(events, "replay", params))["Replay"]["id"]
    while True:
        (replay,) = [each for each in (await call(events, "replays"))["Replays"] if each["id"] == number]
        if replay["state"] == "over":
            return replay
        await asyncio.sleep(0.01)


async def assert_poisoned(folder, events, params, reason, detail=""):
    """Raise an event that fails for good: it is a letter with all that is known, and is replayed to a file."""
    (outcome,) = await events.raise_event_and_wait("E_TEST", params)
    assert outcome.reason == reason
    (letter,) = await letters(events, 1)
    assert (letter["event"], letter["socket"], letter["reason"]) == ("E_TEST", outcome.socket, reason)
    assert re.search(detail, letter["detail"]), letter["detail"]
    assert (await call(events, "show", [letter["id"]]))["Letter"]["params"] == params
    result = await replay(events, ids=[letter["id"]], to=f"flatstore:{folder / 'replayed'}")
    assert (result["delivered"], result["failed"], result["left"]) == (1, 0, 0)
    assert (folder / "replayed").read_text() == ",".join(["E_TEST", *map(str, params.values())]) + "\n"
    await letters(events, 0)


@pytest.mark.parametrize("text", ["udp:127.0.0.1:{port}", "virtual:PARALLEL udp:127.0.0.1:{port} udp:127.0.0.1:{port}"])
async def test_udp(tmp_path, text):
    """A payload that fits no datagram is a letter; those before and behind it arrive. So it is for a virtual socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        async with interface(tmp_path, "") as events:
            events.subscribe_event("E_TEST", text.format(port=peer.getsockname()[1]))
            assert (await events.raise_event_and_wait("E_TEST", {"n": 1}))[0].delivered
            await assert_poisoned(tmp_path, events, {"n": 2, "text": LARGE}, "too_large")
            assert (await events.raise_event_and_wait("E_TEST", {"n": 3}))[0].delivered


async def test_flatstore(tmp_path):
    """An event that names no file is a letter."""
    async with interface(tmp_path, "") as events:
        events.subscribe_event("E_TEST", f"flatstore:{tmp_path}/of-{{name}}")
        await assert_poisoned(tmp_path, events, {"n": 1}, "missing_parameter")


async def test_a_file_that_cannot_be_written(tmp_path):
    """What waits for a file when its subscription ends is a letter, and arrives with a replay when the file can be written."""
    async with interface(tmp_path, "") as events:
        path = tmp_path / "log"
        lease = events.subscribe_event("E_TEST", f"flatstore:{path}")
        path.mkdir()
        events.raise_event("E_TEST", {"n": 1})
        await until(lambda: lease.subscriber.away is not None)
        events.unsubscribe_event("E_TEST", f"flatstore:{path}")
        (letter,) = await letters(events, 1)
        assert letter["reason"] in {"is_directory", "unsubscribed"}  # of the last attempt, or of the time that is over
        path.rmdir()
        assert (await replay(events, ids=[letter["id"]]))["delivered"] == 1
        assert path.read_text() == "E_TEST,1\n"


async def test_route(tmp_path):
    """An event that a route raises an error for is a letter with the text of the error."""
    failing_routes.reset()
    failing_routes.problems[-1] = RuntimeError("no database")
    async with interface(tmp_path, '[routes]\nE_TEST = "failing_routes:plain"\n') as events:
        await assert_poisoned(tmp_path, events, {"n": 1}, "route_error", "no database")
        events.raise_event("E_TEST", {"n": 2})
        (letter,) = await letters(events, 1)
        failing_routes.problems.clear()
        assert (await replay(events, ids=[letter["id"]]))["delivered"] == 1  # a present subscriber needs no permission
    assert failing_routes.got == [2]
    failing_routes.reset()


async def test_xmlrpc(tmp_path):
    """An event that is answered with a fault is a letter, and has another attempt with each replay that fails, too."""
    answers = [FAULT]
    async with Server(lambda _: http(answers[-1])) as server, interface(tmp_path, "") as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:method")
        await assert_poisoned(tmp_path, events, {"n": 1}, "fault")
        events.raise_event("E_TEST", {"n": 2})
        await letters(events, 1)
        assert (await replay(events, socket="xmlrpc:*"))["failed"] == 1
        await until(lambda: not events.plugin("journal").letters.claimed)
        assert [each["attempts"] for each in await letters(events, 1)] == [2]
        answers.append(OK)
        assert (await replay(events, socket="xmlrpc:*"))["delivered"] == 1
        await letters(events, 0)


async def test_rabbitmq(tmp_path, rabbitmq):
    """A message that no queue takes is a letter, and a replay delivers it when there is a queue."""
    async with interface(tmp_path, "") as events:
        text = f"rabbitmq:127.0.0.1:{rabbitmq.port}/no-such-letters"
        events.subscribe_event("E_TEST", text)
        await assert_poisoned(tmp_path, events, {"n": 1}, "unroutable")
        events.raise_event("E_TEST", {"n": 2})
        await letters(events, 1)
        await make_queue(rabbitmq, "no-such-letters")
        assert (await replay(events, reason="unroutable"))["delivered"] == 1
    assert [json.loads(body)["params"]["n"] for body in await bodies_in(rabbitmq, "no-such-letters")] == [2]


async def test_kafka(tmp_path, kafka):
    """A record that the brokers find too large is a letter; the others arrive."""
    topic = await make_topic(kafka)
    async with interface(tmp_path, "") as events:
        events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{kafka.port}/{topic}")
        assert (await events.raise_event_and_wait("E_TEST", {"n": 1}))[0].delivered
        await assert_poisoned(tmp_path, events, {"n": 2, "text": HUGE}, "too_large")
        assert (await events.raise_event_and_wait("E_TEST", {"n": 3}))[0].delivered
    assert [json.loads(record.value)["params"]["n"] for record in await records_in(kafka, topic)] == [1, 3]


@asynccontextmanager
async def tcp_peer(got):
    async def answer(reader, writer):
        splitter = Splitter(1 << 20)
        while data := await reader.read(1 << 16):
            for request in splitter.read(data):
                got.append(request["params"]["n"])
                writer.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": 1}).encode())

    async with StreamServer(answer) as server:
        yield f"tcp:127.0.0.1:{server.port}"


@asynccontextmanager
async def xmlrpc_peer(got):
    async with Server(lambda _: http(OK)) as server:
        yield f"xmlrpc:127.0.0.1:{server.port}:method"
        got += [int(re.search(rb"<i(?:nt|4)>(\d+)<", body)[1]) for _, body in server.requests]


@asynccontextmanager
async def rabbitmq_peer(broker, got):
    await make_queue(broker, "beside")
    yield f"rabbitmq:127.0.0.1:{broker.port}/beside"
    got += [json.loads(body)["params"]["n"] for body in await bodies_in(broker, "beside")]


@asynccontextmanager
async def kafka_peer(broker, got):
    topic = await make_topic(broker)
    yield f"kafka:127.0.0.1:{broker.port}/{topic}"
    got += [json.loads(record.value)["params"]["n"] for record in await records_in(broker, topic)]


@pytest.fixture(params=["tcp", "xmlrpc", "rabbitmq", "kafka"])
def peer(request):
    """Return a peer of each kind that confirms events, which gives the numbers to a list at its end."""
    kinds = {"tcp": tcp_peer, "xmlrpc": xmlrpc_peer}
    if request.param in kinds:
        return kinds[request.param]
    broker = request.getfixturevalue(request.param)
    return partial(rabbitmq_peer if request.param == "rabbitmq" else kafka_peer, broker)


async def test_letters_beside_live_events(tmp_path, peer):
    """A replay and live events share the peer: all of both arrive once, each in their order."""
    got = []
    async with (
        peer(got) as text,
        interface(tmp_path, "[plugins.stream]\nreliable_mode = true\ntimeout_ms = 60000\n") as events,
    ):
        lease = events.subscribe_event("E_TEST", text)
        journal = events.plugin("journal")
        failed = [events.event("E_TEST").snapshot({"n": 1000 + number}, 1.0) for number in range(300)]
        journal.events_failed(lease.subscriber, failed, ["expired"] * len(failed), None)
        await until(lambda: journal.letters.count == 300)
        await call(events, "replay", {"socket": "*", "rate": 3000})
        for number in range(300):
            events.raise_event("E_TEST", {"n": number})
            await asyncio.sleep(0.0005)
        await until(lambda: journal.letters.count == 0 and not lease.subscriber.depth)
        assert (lease.subscriber.raised, lease.subscriber.delivered) == (300, 300)
    assert [number for number in got if number < 1000] == list(range(300))
    assert [number for number in got if number >= 1000] == list(range(1000, 1300))


async def test_a_full_queue_and_the_end(tmp_path):
    """What a full queue drops, and what is still waiting when the interface is left, are letters in the next process."""
    more = "[[subscriptions]]\nevent = 'E_TEST'\nsocket = 'unix:/no/such/path'\n"
    async with interface(tmp_path, more, queue_size=10) as events:
        for number in range(15):
            events.raise_event("E_TEST", {"n": number})
        dropped = events.statistics[0].reasons["queue_full"]
        await letters(events, dropped)
    async with interface(tmp_path, more, queue_size=10) as events:
        found = (await call(events, "list"))["Letters"]
        assert [each["reason"] for each in found] == ["queue_full"] * dropped + ["shutdown"] * (15 - dropped)


async def test_the_error_has_no_secrets(tmp_path):
    """The text of an error is kept without the password of the socket, and listings have none."""
    async with interface(tmp_path, "") as events:
        journal = events.plugin("journal")
        lease = events.subscribe_event("E_TEST", "rabbitmq:user:pa55word@127.0.0.1:1/queue")
        error = evframe.Rejected("access_refused")
        error.__cause__ = RuntimeError(
            "no access for user:pa55word@127.0.0.1 at amqp://user:pa55word@127.0.0.1/ (pa55word)"
        )
        event = events.event("E_TEST").snapshot({"n": 1}, 1.0)
        journal.events_failed(lease.subscriber, [event], ["access_refused"], error)
        (letter,) = await letters(events, 1)
        assert "pa55word" not in json.dumps(letter)
        assert letter["detail"].startswith("RuntimeError: no access for user:")
