"""Requests, answers and events on one connection."""

import asyncio
import json

import aiohttp
import pytest
from web_sockets import gateway

from evframe.testing import until


@pytest.mark.parametrize(
    "params",
    [["E_A", "ws:"], {"event": "E_A", "socket": "ws:"}, "name"],
    ids=["list", "names", "full name"],
)
async def test_a_client_subscribes_its_connection(params):
    """With `ws:` the connection is meant, and events come on it, as on other transports."""
    async with gateway() as each, each.client() as client:
        assert await client.call("event_subscribe", ["E_A", client.name] if params == "name" else params) == "OK"
        (lease,) = each.events.subscriptions
        assert (lease.subscriber.socket.canonical, lease.expire_s) == (client.name, 0)
        assert client.name.startswith("ws:127.0.0.1:")
        each.events.raise_event("E_A", {"n": 1})
        assert await client.next() == {"jsonrpc": "2.0", "method": "E_A", "params": {"n": 1}}


async def test_the_lease_ends_with_the_connection():
    """A client that has gone has no lease, and is in no listing; one that ends its lease keeps its connection."""
    async with gateway() as each:
        async with each.client() as client:
            await client.call("event_subscribe", ["E_A", "ws:"])
            assert await client.call("event_subscribe", ["E_A", "ws:", 0]) == "OK"
            assert not each.events.subscriptions
            await client.call("event_subscribe", ["E_A", "ws:"])
            each.events.subscribe_event("E_A", client.name)  # a lease of this process ends with it, too
        await until(lambda: not each.events.subscriptions)
        await until(lambda: len(each.events.statistics) == 1)
        assert not each.plugin.streams


async def test_other_commands():
    """A connection carries all commands: what it raises comes back to it as an event, and batches are answered."""
    async with gateway() as each, each.client() as client:
        await client.call("event_subscribe", ["E_A", "ws:"])
        assert await client.call("raise_event", ["E_A", ["1"]]) == "OK"
        assert (await client.call("events_list"))["Events"][0]["name"] == "E_A"
        event = client.events.pop() if client.events else await client.next()
        assert event == {"jsonrpc": "2.0", "method": "E_A", "params": ["1"]}
        batch = [{"jsonrpc": "2.0", "id": n, "method": "event_subscribe", "params": ["E_A", "ws:"]} for n in range(2)]
        await client.socket.send_str(json.dumps(batch))
        assert await client.next() == [{"jsonrpc": "2.0", "result": "OK", "id": number} for number in range(2)]
        await client.socket.send_str('{"jsonrpc":')
        assert (await client.next())["error"]["code"] == -32700


async def test_a_large_request_subscribes_the_connection_too():
    """A request that is read beside the loop has the same socket."""
    async with gateway() as each, each.client() as client:
        request = {"jsonrpc": "2.0", "id": 1, "method": "event_subscribe", "params": ["E_A", "ws:"], "x": "y" * 10_000}
        await client.socket.send_str(json.dumps([request]))
        assert (await client.next())[0]["result"] == "OK"
        assert each.events.subscriptions[0].subscriber.socket.canonical == client.name


async def test_others_cannot_subscribe_a_connection():
    """Neither another connection nor another interface."""
    async with gateway() as each, each.client() as first, each.client() as second:
        assert (await second.call("event_subscribe", ["E_A", first.name]))["message"] == "Bad parameter value"
        dispatcher = each.events.plugin("mi").dispatcher.of("mi-http")
        for text in (first.name, "ws:"):
            request = {"jsonrpc": "2.0", "id": 1, "method": "event_subscribe", "params": ["E_A", text]}
            answer = json.loads(dispatcher.handle(json.dumps(request).encode()))
            assert answer["error"]["message"] == "Bad parameter value"
        assert not each.events.subscriptions


async def test_the_policy_holds():
    """Without its scheme in `[management]` a connection has commands alone; the own table narrows them."""
    async with gateway(schemes=["udp"], commands=["event*", "subscribers_list"], raise_events=[]) as each:
        async with each.client() as client:
            assert (await client.call("event_subscribe", ["E_A", "ws:"]))["message"] == "Bad parameter value"
            assert await client.call("event_subscribe", ["E_A", "udp:127.0.0.1:9"]) is not None
            assert (await client.call("pwd"))["message"] == "Bad parameter value"


async def test_many_requests_in_flight():
    """A client need not wait for answers: each comes, in order, and events in between."""
    count = 3000
    async with gateway() as each, each.client() as client:
        await client.call("event_subscribe", ["E_A", "ws:"])

        async def send():
            for _ in range(count):
                await client.send("raise_event", {"event": "E_A", "params": {"n": client.number}})

        sending = asyncio.ensure_future(send())
        assert [(await client.answer())["id"] for _ in range(count)] == list(range(2, count + 2))
        await sending
        assert len(await client.numbers(count)) == count
        assert each.plugin.counters["replies"] == count + 1


async def test_a_client_that_takes_no_answers():
    """It has few requests run in advance, and holds up no others."""
    async with gateway() as each, each.client() as other, each.client() as client:
        client.socket._conn.protocol.transport.pause_reading()
        slow = each.plugin.streams[client.name.removeprefix("ws:")]

        async def send():
            for _ in range(20_000):
                await client.send("core:which")

        sending = asyncio.ensure_future(send())
        await until(lambda: slow.connection.is_waiting)
        before, own = -1, 0
        while before != each.plugin.counters["requests"] - own:  # until the kernel takes no more
            before = each.plugin.counters["requests"] - own
            for _ in range(50):
                assert await other.call("pwd")
            own += 50
        assert before < 10_000
        sending.cancel()
        client.socket._conn.protocol.transport.resume_reading()


async def test_a_client_that_takes_no_events():
    """Its queue is bounded and drops; others get each event, and it learns how many it has lost."""
    async with gateway("queue_size = 10") as each, each.client() as slow:
        await slow.call("event_subscribe", ["E_A", "ws:"])
        slow.socket._conn.protocol.transport.pause_reading()
        async with each.client() as quick:
            await quick.call("event_subscribe", ["E_A", "ws:"])
            for number in range(500):
                each.events.raise_event("E_A", {"n": number, "text": "x" * 20_000})
                assert await quick.numbers(1) == [number]
        subscriber = each.events.subscriptions[0].subscriber
        assert subscriber.failed > 100
        slow.socket._conn.protocol.transport.resume_reading()
        await until(lambda: not subscriber.depth)
        each.events.raise_event("E_A", {"n": 500})
        lost = got = 0
        while True:
            message = await slow.next()
            if message["method"] == "stream:gap":
                lost += message["params"]["lost"]
                continue
            got += 1
            if message["params"]["n"] == 500:
                break
        assert (lost, got) == (subscriber.failed, subscriber.delivered)


async def test_what_is_no_text_and_what_is_too_large():
    """The connection ends with the code that says so."""
    async with gateway(max_message_bytes=100) as each:
        async with each.client() as client:
            await client.socket.send_bytes(b"{}")
            assert await client.next() == aiohttp.WSCloseCode.UNSUPPORTED_DATA
        async with each.client() as client:
            await client.socket.send_str("x" * 101)
            assert await client.next() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        await until(lambda: not each.plugin.streams)


async def test_bytes_that_are_no_text():
    """What is not UTF-8 is replaced in events and answers: a client would end the connection for it."""
    async with gateway() as each, each.client() as client:
        await client.call("event_subscribe", ["E_A", "ws:"])
        each.events.raise_event("E_A", {"n": b"a\xff"})
        assert await client.numbers(1) == ["a\ufffd"]
        each.events.raise_event("E_A", {"n": "x" * 70_000})
        assert await client.numbers(1) == ["x" * 70_000]


async def test_connections_are_bounded():
    """One more than `max_streams` is refused; one that ends makes room."""
    async with gateway(max_streams=1) as each:
        async with each.client():
            assert await each.refusal() == 503
        await until(lambda: not each.plugin.streams)
        async with each.client() as client:
            assert await client.call("pwd")


async def test_requests_that_are_no_web_socket():
    """Each has its status."""
    async with gateway() as each, aiohttp.ClientSession() as session:
        url = each.url.replace("ws://", "http://")
        for method, where, status in (("GET", url, 426), ("POST", url, 426), ("GET", url + "/x", 404)):
            async with session.request(method, where) as response:
                assert response.status == status
        assert not each.plugin.streams
