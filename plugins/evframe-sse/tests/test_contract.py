"""The contract of transports: this process adds events to a stream that a client has opened."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
from evframe_mi import Management, ManagementOptions
from evframe_mi import Options as MiOptions
from evframe_sse import EventSourceTransport, Options

import evframe
from evframe.testing import Peer, TransportContract, until


class Connected(evframe.EventInterface):
    """An interface that a client has opened a stream of."""

    async def __aenter__(self):
        await super().__aenter__()
        await until(lambda: any(stream.connection for stream in self.plugin("sse").streams.values()))
        return self


class TestEventSource(TransportContract):
    """A client reads a stream with aiohttp."""

    bad_sockets = ("sse:", "sse:127.0.0.1:50000/1", "sse:3-desk", "sse:desk 3")
    sse = None

    def transport(self):
        return EventSourceTransport(Options(bind="127.0.0.1:0"))

    def _interface(self):
        mi = Management(MiOptions(ManagementOptions(schemes=["sse"])))
        self.sse = self.transport()
        return Connected(plugins={"mi": mi, "sse": self.sse})

    @asynccontextmanager
    async def peer(self):
        found = asyncio.Queue()

        async def read():
            await until(lambda: self.sse is not None and self.sse.address)
            host, port = self.sse.address
            query = {"event": "E_NONE_*", "name": "desk"}
            async with aiohttp.ClientSession() as client:
                async with client.get(f"http://{host}:{port}/events", params=query, timeout=None) as response:
                    while text := await response.content.readuntil(b"\n\n"):
                        if text.startswith(b"event: E_"):
                            found.put_nowait(text)

        async def receive(count):
            return [await found.get() for _ in range(count)]

        reading = asyncio.ensure_future(read())
        try:
            yield Peer("sse:desk", receive)
        finally:
            reading.cancel()
