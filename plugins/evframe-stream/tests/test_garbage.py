"""Connections that are over leave memory at once."""

import asyncio
import socket
from weakref import ref

import pytest
from evframe_stream import Options, StreamTransport
from stream_servers import StreamServer

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import no_garbage, until


@pytest.mark.parametrize("reliable", [False, True])
async def test_refused_connections_leave_no_garbage(reliable):
    """Subscribers at a port where no connection is accepted leave nothing that only the collector finds."""
    plugins = {"stream": StreamTransport(Options(reliable_mode=reliable))}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with evframe.EventInterface(Config(CoreOptions(drain_timeout_s=0.05)), plugins=plugins) as events:
            events.register_event("E_TEST")
            with no_garbage():
                for number in range(20):
                    lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{port}/m{number}")
                    events.raise_event("E_TEST", [number])
                    await until(lambda lease=lease: lease.subscriber.attempts)
                    events.unsubscribe_event("E_TEST", f"tcp:127.0.0.1:{port}/m{number}")
                await until(lambda: not list(plugins["stream"].connections))


async def test_a_connection_that_ended_early_leaves_at_once():
    """A connection that is closed while requests have no reply leaves memory then, and not at their deadline."""
    stream = StreamTransport(Options(reliable_mode=True, timeout_ms=600_000))
    asked = asyncio.Event()

    async def peer(reader, writer):
        await reader.readexactly(1)
        asked.set()
        await reader.read()  # to the end

    config = Config(CoreOptions(drain_timeout_s=0.05))
    async with StreamServer(peer) as server, evframe.EventInterface(config, plugins={"stream": stream}) as events:
        socket_text = f"tcp:127.0.0.1:{server.port}"
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", socket_text)
        events.raise_event("E_TEST")
        await asked.wait()
        (connection,) = map(ref, stream.connections)
        events.unsubscribe_event("E_TEST", socket_text)
        await until(lambda: connection() is None, 20)
