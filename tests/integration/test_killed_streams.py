"""A gateway that is killed while a client reads a stream: what was acknowledged arrives, once and in order."""

import asyncio
import itertools
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
from event_streams import Message
from processes import child
from web_sockets import Client

EVFRAME = Path(sys.executable).parent / "evframe"
KILLS = 2
CONFIG = """
[plugins]
disable = ["mi-http", "mi-fifo", "mi-datagram"]
[management]
schemes = ["sse"]
[plugins.sse]
bind = "127.0.0.1:{sse}"
[plugins.websocket]
bind = "127.0.0.1:{websocket}"
[plugins.journal]
path = "{folder}/journal"
store_after_ms = 2
[[policies]]
socket = "sse:desk-*"
keep = "disk"
[[events]]
name = "E_A"
[[subscriptions]]
event = "E_A"
socket = "sse:desk-3"
"""


class Reader:
    """A client that opens its stream again and again, as a browser does."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/events"
        self.last = None
        self.numbers = []
        self.ids = []

    async def read(self):
        while True:
            with suppress(aiohttp.ClientError):
                await self._read()
            await asyncio.sleep(0.02)

    async def _read(self):
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        query = {"event": "E_NONE_*", "name": "desk-3"}
        async with aiohttp.ClientSession() as session:
            async with session.get(
                self.url, params=query, headers=headers, timeout=None, raise_for_status=True
            ) as response:
                while (text := await response.content.readuntil(b"\n\n")).endswith(b"\n\n"):  # not a part
                    message = Message.of(text.decode())
                    self.last = message.id or self.last
                    if message.kind == "E_A":
                        self.ids.append(message.id)
                        self.numbers.append(message.data["params"]["n"])


async def raised_until_killed(port, numbers, process):
    """Raise events until the gateway is killed; return those that were acknowledged."""
    acknowledged = []
    async with aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientError):
                raising = Client(await session.ws_connect(f"ws://127.0.0.1:{port}/ws"))
                break
            await asyncio.sleep(0.02)
        await raising.next()
        killing = asyncio.get_running_loop().call_later(0.3, process.send_signal, signal.SIGKILL)
        with suppress(TypeError, ConnectionError):  # the code at the end is no answer
            while True:
                number = next(numbers)
                params = {"event": "E_A", "params": {"n": number}, "until": "stored"}
                if await raising.call("raise_event", params) == "OK":
                    acknowledged.append(number)
        killing.cancel()
        await raising.socket.close()
    return acknowledged


async def test_a_gateway_that_is_killed(tmp_path):
    """Numbers that a WebSocket has acknowledged are read from the stream, whatever was under way."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = {"sse": one.getsockname()[1], "websocket": other.getsockname()[1]}
    file = tmp_path / "evframe.toml"
    file.write_text(CONFIG.format(folder=tmp_path, **ports))
    reader = Reader(ports["sse"])
    reading = asyncio.ensure_future(reader.read())
    acknowledged, numbers = [], itertools.count()
    for _ in range(KILLS):
        with child(EVFRAME, "run", "-c", file, stderr=subprocess.DEVNULL) as process:
            acknowledged += await raised_until_killed(ports["websocket"], numbers, process)
    with child(EVFRAME, "run", "-c", file, stderr=subprocess.DEVNULL):
        async with asyncio.timeout(60):
            while not set(acknowledged) <= set(reader.numbers):
                await asyncio.sleep(0.02)
    reading.cancel()
    assert len(acknowledged) > 100
    assert len(set(reader.ids)) == len(reader.ids)
    assert reader.numbers == sorted(set(reader.numbers))
