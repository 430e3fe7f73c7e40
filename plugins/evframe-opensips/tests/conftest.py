"""An OpenSIPS after the reference: its management interface, and events sent to each subscriber with a lease."""

import asyncio
import json
import socket
import time
from contextlib import AsyncExitStack

import pytest
from stream_servers import StreamServer


class Refusal(Exception):
    """Answered as an error."""


class Opensips(StreamServer):
    """Answers the commands of the Events Interface as an OpenSIPS does, over HTTP."""

    def __init__(self, events=("E_PIKE_BLOCKED",)):
        super().__init__(self._http)
        self.events = list(events)
        self.leases = {}
        self.requests = []
        self.tokens = set()
        self.wanted_token = None
        """The only token that it takes, if there is one."""
        self.transports = ("udp", "unix", "tcp")
        self.commands = {
            "events_list": self._list,
            "event_subscribe": self._subscribe,
            "subscribers_list": self._subscribers,
        }
        self.is_silent = False
        """Whether it takes requests and answers none."""
        self.unanswered = 0
        """How many requests it took while it was silent."""
        self.too_long = False
        """Whether the list of all subscribers does not fit an answer."""
        self._streams = {}

    # The management interface.

    @property
    def url(self):
        return f"http://{self.host}:{self.port}/mi"

    async def close(self):
        """End as with `kill -9`: every lease and connection is gone."""
        self.leases.clear()
        for _, writer in self._streams.values():
            writer.close()
        self._streams.clear()
        await super().close()

    async def _http(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.tokens |= {
            line.split()[-1] for line in head.decode().splitlines() if line.lower().startswith("authorization: ")
        }
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if self.is_silent:
            self.unanswered += 1
            await reader.read()  # until who asked has given up
            return
        body, status = self.answer(await reader.readexactly(size)), b"200 OK"
        if self.wanted_token and self.wanted_token not in head.decode():
            body, status = b"", b"401 Unauthorized"
        kind = b"Content-Type: application/json\r\n"
        writer.write(b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, kind, len(body), body))
        await writer.drain()

    def answer(self, request):
        """Return the answer, byte by byte as the original prints it."""
        message = json.loads(request)
        method, params = message["method"], message.get("params", [])
        self.requests.append((method, params))
        command = self.commands.get(method)
        if command is None:
            outcome = {"error": {"code": -32601, "message": "Method not found"}}
        else:
            try:
                outcome = {"result": command(*params)}
            except Refusal as refusal:
                outcome = {"error": refusal.args[0]}
        return json.dumps({"jsonrpc": "2.0", **outcome, "id": message["id"]}, separators=(",", ":")).encode()

    def _list(self):
        return {"Events": [self._event(name) for name in self.events]}

    def _subscribe(self, name, target, expire):
        if name not in self.events or target.partition(":")[0] not in self.transports:
            raise Refusal({"code": 400, "message": "Bad parameter value"})
        if expire:
            self.leases.setdefault(name, {})[target] = (expire, time.monotonic())
        else:
            self.leases.get(name, {}).pop(target, None)
        return "OK"

    def _subscribers(self, *one):
        if one:
            return self._subscriber(*one)
        if self.too_long:
            raise Refusal({"code": 500, "message": "Internal error"})
        return {
            "Events": [
                {**self._event(name), "Subscribers": [self._lease(name, each) for each in reversed(leases)]}
                for name, leases in self.leases.items()
                if leases
            ]
        }

    def _subscriber(self, name, target):
        if target not in self.leases.get(name, {}):
            raise Refusal({"code": 404, "message": "Subscriber does not exist"})
        return {"Event": {**self._event(name), "Subscriber": self._lease(name, target)}}

    def _event(self, name):
        return {"name": name, "id": self.events.index(name)}

    def _lease(self, name, target):
        expire, at = self.leases[name][target]
        left = int(expire - (time.monotonic() - at))
        return {"socket": target, "expire": expire, "ttl": left if left > 0 else "expired"}

    # What it sends.

    def targets(self, name):
        return list(self.leases.get(name, ()))

    async def raise_event(self, name, params=None):
        message = {"jsonrpc": "2.0", "method": name} | ({} if params is None else {"params": params})
        await self.send(name, json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())

    async def send(self, name, payload):
        """Send bytes to each subscriber with a lease on *name*."""
        for target in self.targets(name):
            await self.send_to(target, payload)

    async def send_to(self, target, payload):
        scheme, _, rest = target.partition(":")
        if scheme == "tcp":
            if target not in self._streams:
                host, _, port = rest.rpartition(":")
                self._streams[target] = await asyncio.open_connection(host, int(port))
            self._streams[target][1].write(payload)
            await self._streams[target][1].drain()
            return
        family = socket.AF_UNIX if scheme == "unix" else socket.AF_INET
        address = rest if scheme == "unix" else (rest.rpartition(":")[0], int(rest.rpartition(":")[2]))
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(payload, address)

    async def reply(self, target):
        """Return what comes back on the connection to *target*."""
        return await self._streams[target][0].read(4096)


@pytest.fixture
async def fleet():
    """Return what starts an instance with some events."""
    async with AsyncExitStack() as running:

        async def start(*events):
            return await running.enter_async_context(Opensips(events))

        yield start


@pytest.fixture
def front():
    """Return what gives a management interface whose `answer` is another's."""
    return lambda: Opensips(())
