"""An interface that serves WebSockets, and a client of one."""

import json
from contextlib import asynccontextmanager

import aiohttp
import attrs
from evframe_mi import Management, ManagementOptions
from evframe_mi import Options as MiOptions
from evframe_websocket import Options, WebSocketTransport
from stream_servers import connection_to

import evframe
from evframe.plugin import parse_config


@attrs.define
class Client:
    """A client that calls commands and gets events."""

    socket: aiohttp.ClientWebSocketResponse
    name: str = ""
    number: int = 0
    events: list = attrs.field(factory=list)
    """The notifications that came before an answer."""

    async def next(self):
        """Return the next message, read; the code where the connection has ended."""
        message = await self.socket.receive()
        return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else self.socket.close_code

    async def send(self, method, params=None):
        """Send a request, and return its id."""
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": [] if params is None else params}
        await self.socket.send_str(json.dumps(request))
        return self.number

    async def answer(self):
        """Return the next answer; notifications are kept."""
        while True:
            message = await self.next()
            if "id" in message:
                return message
            self.events.append(message)

    async def call(self, method, params=None):
        """Return the result of a request, or its error."""
        number = await self.send(method, params)
        answer = await self.answer()
        assert answer["id"] == number
        return answer.get("result", answer.get("error"))

    async def numbers(self, count):
        """Return the numbers of the next events."""
        found = []
        while len(found) < count:
            message = self.events.pop(0) if self.events else await self.next()
            if message["method"] != "stream:gap":
                found.append(message["params"]["n"])
        return found


@attrs.define
class Gateway:
    """An interface with WebSockets on a free port."""

    events: evframe.EventInterface
    plugin: WebSocketTransport

    @property
    def url(self):
        host, port = self.plugin.address
        return f"ws://{host}:{port}/ws"

    @asynccontextmanager
    async def client(self, **options):
        """Yield a client."""
        async with aiohttp.ClientSession() as session, session.ws_connect(self.url, **options) as socket:
            client = Client(socket)
            client.name = (await client.next())["params"]["socket"]
            yield client

    async def refusal(self, **options):
        """Return the status of a request that opens nothing."""
        async with aiohttp.ClientSession() as session:
            try:
                await session.ws_connect(self.url, **options)
            except aiohttp.WSServerHandshakeError as error:
                return error.status
        return 101


@asynccontextmanager
async def gateway(config="", schemes=("ws",), commands=("*",), **options):
    """Yield an interface with the event E_A."""
    plugin = WebSocketTransport(Options(bind="127.0.0.1:0", **options))
    mi = Management(MiOptions(ManagementOptions(schemes=list(schemes), commands=list(commands))))
    config = parse_config(f"[core]\ndrain_timeout_s = 0.2\n{config}")
    events = evframe.EventInterface(config, plugins={"mi": mi, "websocket": plugin})
    events.register_event("E_A")
    async with events:
        yield Gateway(events, plugin)


@asynccontextmanager
async def raw(each):
    """Yield a connection that is upgraded, and has read its first frame."""
    async with connection_to(each.plugin.address) as (reader, writer):
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"stream:opened")
        yield reader, writer
