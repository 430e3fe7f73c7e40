"""The contracts of transports and of management interfaces."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
from evframe_mi import Management
from evframe_mi.testing import ManagementContract
from evframe_websocket import Options, WebSocketTransport
from web_sockets import Gateway

import evframe
from evframe.testing import TransportContract, until

AFTER = b'{"jsonrpc":"2.0","method":"core:which","params":["x","y"],"id":"after"}'


class TestManagement(ManagementContract):
    """The table over a WebSocket."""

    longest_reply = 8 << 20

    def plugin(self):
        return WebSocketTransport(Options(bind="127.0.0.1:0"))

    @asynccontextmanager
    async def travel(self, events):
        each = Gateway(events, events.plugin("under-test"))
        async with each.client(max_msg_size=0) as client:

            async def ask(request):
                for message in (request, AFTER):  # answers come in order
                    await client.socket.send_frame(message, aiohttp.WSMsgType.TEXT)
                answer = (await client.socket.receive()).data.encode()
                if b'"after"' in answer:
                    return None
                await client.socket.receive()
                return answer

            yield ask


class Connected(evframe.EventInterface):
    """An interface that a client has connected to."""

    async def __aenter__(self):
        await super().__aenter__()
        await until(lambda: any(stream.connection for stream in self.plugin("websocket").streams.values()))
        return self


class TestTransport(TransportContract):
    """A service subscribes the connection of a client."""

    bad_sockets = ("ws:", "ws:127.0.0.1:50000/1", "ws:desk")
    plugin = None

    def transport(self):
        return WebSocketTransport(Options(bind="127.0.0.1:0"))

    def _interface(self):
        self.plugin = self.transport()
        return Connected(plugins={"mi": Management(), "websocket": self.plugin})

    @property
    def socket(self):
        """The socket of the only connection."""
        return next(iter(self.plugin.streams.values())).socket.canonical

    @asynccontextmanager
    async def peer(self):
        found = asyncio.Queue()

        async def read():
            await until(lambda: self.plugin is not None and self.plugin.address)
            async with Gateway(None, self.plugin).client() as client:
                async for message in client.socket:
                    found.put_nowait(message.data.encode())

        async def receive(count):
            return [await found.get() for _ in range(count)]

        self.receive = receive
        reading = asyncio.ensure_future(read())
        try:
            yield self
        finally:
            reading.cancel()
