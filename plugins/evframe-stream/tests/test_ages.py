"""The greatest age of a connection: it is exchanged while events flow, and none of them is lost."""

import asyncio
import json

import pytest
from evframe_stream import Options, StreamTransport

import evframe
from evframe.testing import until

decode = json.JSONDecoder().raw_decode


class Peer:
    """Keeps the numbers of the events that it reads, and how many connections it has had."""

    def __init__(self):
        self.read = []
        self.connections = self.ended = 0

    async def serve(self, reader, writer):
        self.connections += 1
        text = ""
        while data := await reader.read(1 << 16):
            text += data.decode()
            while text.endswith("}"):
                message, end = decode(text)
                text = text[end:]
                self.read.append(message["params"][0])
                if "id" in message:
                    writer.write(b'{"id":%d,"result":1}' % message["id"])
        writer.close()
        await writer.wait_closed()
        self.ended += 1


@pytest.mark.parametrize("reliable", [False, True])
async def test_a_connection_is_exchanged_at_its_greatest_age(reliable):
    """While events flow, one connection follows the other: each event arrives once, in order."""
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    options = Options(reliable_mode=reliable, timeout_ms=20_000, max_connection_age_s=0.1)
    events = evframe.EventInterface(plugins={"stream": StreamTransport(options)})
    events.register_event("E_TEST")
    raised = 0

    def is_exchanged():
        nonlocal raised
        for _ in range(20):
            events.raise_event("E_TEST", [raised])
            raised += 1
        return peer.connections >= 4

    async with server, events:
        lease = events.subscribe_event("E_TEST", "tcp:127.0.0.1:%d" % server.sockets[0].getsockname()[1])
        await until(is_exchanged)
        await until(lambda: len(peer.read) >= raised and not lease.subscriber.depth)
        assert peer.connections - peer.ended <= 2
    await until(lambda: peer.ended == peer.connections)

    assert peer.read == list(range(raised))
    assert (lease.subscriber.delivered, lease.subscriber.attempts) == (raised, 0)


async def test_an_idle_connection_has_a_greatest_age():
    """A connection without events is ended at its greatest age, and the next event has another one."""
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    events = evframe.EventInterface(plugins={"stream": StreamTransport(Options(max_connection_age_s=0.1))})
    events.register_event("E_TEST")
    async with server, events:
        events.subscribe_event("E_TEST", "tcp:127.0.0.1:%d" % server.sockets[0].getsockname()[1])
        assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
        await until(lambda: peer.ended)
        assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
    await until(lambda: peer.ended == peer.connections)
    assert peer.read == [0, 1]
