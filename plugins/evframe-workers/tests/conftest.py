"""What the tests share: an interface with workers, and peers that note which events have come."""

import asyncio
import json
import re
import signal
from contextlib import asynccontextmanager
from importlib.metadata import entry_points

import pytest
from numbered import Load, assert_all
from stream_servers import StreamServer

import evframe
from evframe.testing import until

USED = {"cesql", "datagram", "flatstore", "journal", "policies", "rabbitmq", "stream", "workers"}
OTHERS = sorted({entry.name for entry in entry_points(group="evframe")} - USED)
QUIET = f"""
[plugins]
disable = {json.dumps(OTHERS)}  # each process of a worker would take longer to import these than all else
[[events]]
name = "E_TEST"
"""


class Receiver(asyncio.DatagramProtocol):
    """A UDP peer, and a TCP peer at the same port; it notes the numbers of the events."""

    def __init__(self):
        self.server = StreamServer(self.serve)
        self.numbers = []
        self.params = []

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        await self.server.open()
        self.port = self.server.port
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.port))
        self.tcp, self.udp = f"tcp:127.0.0.1:{self.port}", f"udp:127.0.0.1:{self.port}"
        return self

    async def serve(self, reader, _):
        rest = b""
        while data := await reader.read(65536):
            data = rest + data
            end = data.rfind(b"}") + 1
            rest = data[end:]
            self.numbers += map(int, re.findall(rb'"n":([0-9]+)', data[:end]))

    def datagram_received(self, data, addr):
        self.params.append(json.loads(data)["params"])
        self.numbers.append(self.params[-1]["n"])

    async def __aexit__(self, *_):
        self.transport.close()
        await self.server.close()


class Workers:
    """An interface with workers."""

    def __init__(self, events):
        self.events = events
        self.plugin = events.plugin("workers")

    def __getattr__(self, name):
        return getattr(self.events, name)

    @property
    def pids(self):
        return [each.process.pid for each in self.plugin.processes if each.process is not None]

    @property
    def are_ready(self):
        return all(each.status == 1 for each in self.events.status.group("workers"))

    def counters(self, socket):
        return next(each for each in self.events.statistics if each.socket == socket)

    def kill(self, index):
        self.plugin.processes[index].process.send_signal(signal.SIGKILL)

    async def settled(self):
        await until(lambda: not any(each.depth for each in self.events.statistics))

    async def ready(self):
        await until(lambda: self.are_ready)

    async def lose_nothing_in_kills(self, receiver):
        """Kill the first worker twice under load, and check that the peer gets every event, and each is counted once."""
        self.subscribe_event("E_TEST", receiver.tcp)
        await self.ready()
        async with Load(self.events) as load:
            for _ in range(2):
                seen = len(receiver.numbers)
                await until(lambda seen=seen: len(receiver.numbers) > seen + 50)
                self.kill(0)
                await until(lambda: not self.are_ready)
                await self.ready()
        await self.settled()
        await until(lambda: len(set(receiver.numbers)) == load.raised)
        assert_all(receiver.numbers, load.raised)
        counters = self.counters(receiver.tcp)
        assert (counters.raised, counters.delivered) == (load.raised, load.raised)


@pytest.fixture
def workers(tmp_path):
    """Return what enters an interface with workers: their number, and more of the configuration."""

    @asynccontextmanager
    async def enter(count, more=""):
        path = tmp_path / "evframe.toml"
        table = "" if "[plugins.workers]" in more else "[plugins.workers]\n"  # the last one of *more* else
        path.write_text(f"{QUIET}{more}\n{table}count = {count}\n")
        async with evframe.EventInterface.from_toml(path) as events:
            yield Workers(events)

    return enter


@pytest.fixture
async def receiver():
    """Return a peer."""
    async with Receiver() as receiver:
        yield receiver
