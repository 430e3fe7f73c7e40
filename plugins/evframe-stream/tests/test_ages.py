"""The greatest age of a connection: it is exchanged while events flow, and none of them is lost."""

import json

import pytest
from evframe_stream import Options, StreamTransport
from stream_servers import StreamServer

import evframe
from evframe.testing import until

decode = json.JSONDecoder().raw_decode


class Peer(StreamServer):
    """Keeps the numbers of the events that it reads."""

    def __init__(self):
        super().__init__(self.serve)
        self.read = []

    async def serve(self, reader, writer):
        text = ""
        while data := await reader.read(1 << 16):
            text += data.decode()
            while text.endswith("}"):
                message, end = decode(text)
                text = text[end:]
                self.read.append(message["params"][0])
                if "id" in message:
                    writer.write(b'{"id":%d,"result":1}' % message["id"])


@pytest.mark.parametrize("reliable", [False, True])
async def test_a_connection_is_exchanged_at_its_greatest_age(reliable):
    """While events flow, one connection follows the other: each event arrives once, in order."""
    options = Options(reliable_mode=reliable, timeout_ms=20_000, max_connection_age_s=0.1)
    events = evframe.EventInterface(plugins={"stream": StreamTransport(options)})
    events.register_event("E_TEST")
    raised = 0

    def is_exchanged():
        nonlocal raised
        for _ in range(20):
            events.raise_event("E_TEST", [raised])
            raised += 1
        return peer.accepted >= 4

    async with Peer() as peer:
        async with events:
            lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
            await until(is_exchanged)
            await until(lambda: len(peer.read) >= raised and not lease.subscriber.depth)
            assert len(peer.writers) <= 2
        await peer.ended()

    assert peer.read == list(range(raised))
    assert (lease.subscriber.delivered, lease.subscriber.attempts) == (raised, 0)


async def test_an_idle_connection_has_a_greatest_age():
    """A connection without events is ended at its greatest age, and the next event has another one."""
    events = evframe.EventInterface(plugins={"stream": StreamTransport(Options(max_connection_age_s=0.1))})
    events.register_event("E_TEST")
    async with Peer() as peer:
        async with events:
            events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            await until(lambda: peer.accepted and not peer.writers)
            assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
        await peer.ended()
    assert peer.read == [0, 1]
