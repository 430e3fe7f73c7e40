"""Streams of server-sent events: an interface that serves them, and a client that reads one."""

import json
import socket
from contextlib import asynccontextmanager

import aiohttp
import attrs
from evframe_sse import EventSourceTransport

import evframe


@attrs.frozen
class Message:
    """An event of a stream."""

    kind: str
    data: object
    id: str | None = None

    @classmethod
    def of(cls, text):
        fields = dict(line.split(": ", 1) for line in text.strip().split("\n") if not line.startswith(":"))
        return cls(fields.get("event"), json.loads(fields.get("data", "null")), fields.get("id"))


@attrs.define
class Source:
    """A client that reads a stream."""

    response: aiohttp.ClientResponse
    last: str | None = None

    async def next(self):
        """Return the next event; None at the end."""
        while True:
            try:
                text = (await self.response.content.readuntil(b"\n\n", max_size=1 << 20)).decode()
            except aiohttp.ClientPayloadError:
                return None
            if not text:
                return None
            message = Message.of(text)
            self.last = message.id or self.last
            if message.kind is not None:
                return message

    async def numbers(self, count):
        """Return the numbers of the next events, without those about the stream."""
        found = []
        while len(found) < count:
            message = await self.next()
            if message.kind not in {"stream", "gap"}:
                found.append(message.data["params"]["n"])
        return found


@attrs.define
class Served:
    """An interface with streams that are served."""

    events: evframe.EventInterface
    sse: EventSourceTransport

    @property
    def url(self):
        host, port = self.sse.address
        return f"http://{host}:{port}/events"

    @asynccontextmanager
    async def source(self, *patterns, last=None, headers=(), receive_bytes=None, **parameters):
        """Yield a stream; a client with few *receive_bytes* takes little in advance."""
        query = [*(("event", pattern) for pattern in patterns), *parameters.items()]
        headers = {**dict(headers), **({"Last-Event-ID": last} if last else {})}

        def make(address):
            made = socket.socket(*address[:3])
            if receive_bytes is not None:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            return made

        connector = aiohttp.TCPConnector(socket_factory=make)
        async with aiohttp.ClientSession(connector=connector, read_bufsize=receive_bytes or 1 << 20) as client:
            async with client.get(self.url, params=query, headers=headers, timeout=None) as response:
                assert response.status == 200, await response.text()
                yield Source(response)

    async def status(self, *patterns, headers=(), method="GET", query=()):
        """Return the status and the text of an answer that is no stream."""
        query = [*(("event", pattern) for pattern in patterns), *query]
        async with aiohttp.ClientSession() as client:
            async with client.request(method, self.url, params=query, headers=dict(headers)) as response:
                return response.status, "" if response.status == 200 else await response.text()
