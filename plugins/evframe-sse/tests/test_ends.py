"""How streams end: by the client, by the network, by a reload and with the process."""

import asyncio
import signal
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from event_streams import Served
from silent_networks import drop_all
from stream_servers import connection_to

from evframe.testing import ConfigFile, until

_SILENT = 'bind = "127.0.0.1:0"'


@asynccontextmanager
async def raw(each, version="1.1"):
    """Yield a connection whose head is read."""
    async with connection_to(each.sse.address) as (reader, writer):
        writer.write(f"GET /events?event=E_A HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"event: stream")
        yield reader, writer


async def test_a_network_that_is_silent(served):
    """A peer that acknowledges nothing any more, and sends no end: the lease ends by the time limit of the kernel."""
    async with served(beat_s=0.05, timeout_s=0.2) as each, raw(each) as (_, writer):
        drop_all(writer.get_extra_info("socket"))
        await until(lambda: not each.events.subscriptions)


async def test_a_client_that_is_killed(served):
    """The lease of a process that is killed ends."""
    code = (
        "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"
        "s.sendall(b'GET /events?event=E_A HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n');"
        "[print(len(data), flush=True) for data in iter(lambda: s.recv(99), b'')]"
    )
    async with served() as each:
        port = str(each.sse.address[1])
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, port, stdout=asyncio.subprocess.PIPE)
        await process.stdout.readline()
        assert each.events.subscriptions
        process.send_signal(signal.SIGKILL)
        await until(lambda: not each.events.subscriptions)
        await process.wait()


async def test_a_client_that_takes_nothing_is_cut_off(served):
    """A client that has taken nothing for `timeout_s` while something waited loses its connection."""
    async with served(timeout_s=0.1) as each, each.source("E_A", receive_bytes=2048) as source:
        await source.next()
        each.events.raise_event("E_A", {"text": "x" * 60_000, "n": 1})
        for number in range(50):
            each.events.raise_event("E_A", {"text": "x" * 60_000, "n": number})
        await until(lambda: not each.events.subscriptions)
        assert each.events.statistics[-1].reasons.keys() == {"unsubscribed"}


async def test_a_sign_of_life(served):
    """Without events, a comment is sent now and then."""
    async with served(beat_s=0.01) as each, raw(each) as (reader, _):
        await reader.readuntil(b"\n\n")
        assert b"3\r\n:\n\n" in await reader.readuntil(b":\n\n\r\n")


async def test_http_1_0(served):
    """A client without chunks gets the events as they are, until the connection ends."""
    async with served() as each, raw(each, "1.0") as (reader, _):
        each.events.raise_event("E_A", {"n": 1})
        await reader.readuntil(b"\n\n")
        assert (await reader.readuntil(b"\n\n")).startswith(b"event: E_A\nid: ")


async def test_the_end_of_the_process(served):
    """What was raised before is sent, and the stream ends as HTTP has it."""
    async with AsyncExitStack() as client:
        async with served() as each:
            reader, _ = await client.enter_async_context(raw(each))
            each.events.raise_event("E_A", {"n": 1})
        text = await reader.read()
    assert b'"n":1' in text
    assert text.endswith(b"\r\n0\r\n\r\n")


@pytest.fixture
def config(tmp_path):
    return ConfigFile(tmp_path / "evframe.toml", "mi", "sse")


def text(options, schemes='schemes = ["sse"]', head="[core]\ndrain_timeout_s = 0.1\n"):
    return f'{head}[management]\n{schemes}\n[plugins.sse]\n{options}\n[[events]]\nname = "E_A"\n'


async def test_a_reload_ends_the_connections(config):
    """Clients connect again, by the rules that hold then; a stream with a name keeps what comes meanwhile."""
    async with config.interface(text(_SILENT)) as events:
        each = Served(events, events.plugin("sse"))
        async with each.source("E_A", name="desk") as source, raw(each) as (reader, _):
            await source.next()
            with socket.create_server(("127.0.0.1", 0)) as other:
                port = other.getsockname()[1]
            config.write(text(f'bind = "127.0.0.1:{port}"\ntoken = "right"'))
            events.reload()
            assert (await reader.read()).endswith(b"0\r\n\r\n")
            assert await source.next() is None
        assert each.sse.address == ("127.0.0.1", port)
        await until(lambda: len(events.subscriptions) == 1)
        events.raise_event("E_A", {"n": 1})
        assert (await each.status("E_A"))[0] == 401
        async with each.source("E_A", name="desk", last=source.last, access_token="right") as source:
            assert await source.numbers(1) == [1]


async def test_a_reload_that_is_refused_changes_nothing(config):
    """A stream stays open."""
    async with config.interface(text(_SILENT)) as events:
        each = Served(events, events.plugin("sse"))
        async with each.source("E_A") as source:
            await source.next()
            config.write(text('bind = "127.0.0.1:0"\ntoken_file = "/nosuch"'))
            with pytest.raises(ValueError, match="token_file"):
                events.reload()
            events.raise_event("E_A", {"n": 1})
            assert await source.numbers(1) == [1]


@pytest.mark.parametrize(
    "after",
    [
        text(_SILENT, 'schemes = ["udp"]'),
        text(_SILENT).replace("[plugins.sse]\n" + _SILENT, "").replace("[core]", "[core]"),
    ],
    ids=["policy", "no address"],
)
async def test_a_reload_that_permits_no_streams(config, after):
    """The streams end with their leases."""
    async with config.interface(text(_SILENT)) as events:
        each = Served(events, events.plugin("sse"))
        async with raw(each) as (reader, _):
            config.write(after)
            events.reload()
            assert (await reader.read()).endswith(b"0\r\n\r\n")
            await until(lambda: not events.subscriptions)
            assert not each.sse.streams
