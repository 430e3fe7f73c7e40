"""Plain mode: whatever way connections end, every event is read, in order."""

import asyncio
import os
import random
import re
import socket
import struct
import sys
from pathlib import Path

import pytest
from evframe_stream import Options, StreamTransport
from processes import bound
from stream_servers import StreamServer

import evframe
from evframe.testing import until

PEER = Path(__file__).with_name("ending_peer.py")
NUMBER = re.compile(rb'\{"jsonrpc":"2.0","method":"E_TEST","params":\[(\d+),"x*"\]\}')
pytestmark = pytest.mark.timeout(120)


class Peer:
    """Drives `ending_peer.py`, which is started again after it was killed."""

    def __init__(self, folder):
        self.path = folder / "read"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self.process._transport.close()

    async def start(self):
        pipe = asyncio.subprocess.PIPE
        words = [str(PEER), str(self.port), str(self.path)]
        self.process = await asyncio.create_subprocess_exec(*bound(sys.executable, *words), stdin=pipe, stdout=pipe)
        assert await self.process.stdout.readline() == b"ok\n"

    async def do(self, command):
        self.process.stdin.write(f"{command}\n".encode())
        assert await self.process.stdout.readline() == b"ok\n"

    async def kill(self):
        await self.do("stop")  # what it has read is in the file
        await self.__aexit__()
        await self.start()

    def numbers(self):
        """Return the numbers of all whole messages that were read."""
        return [int(number) for number in NUMBER.findall(self.path.read_bytes())]

    def first_of_each(self):
        return list(dict.fromkeys(self.numbers()))


class Load:
    """Raises numbered events for a subscriber."""

    def __init__(self, events, seed=0):
        self.events = events
        self.random = random.Random(seed)
        self.count = 0

    def burst(self, most=300):
        for _ in range(self.random.randint(1, most)):
            self.events.raise_event("E_TEST", [self.count, "x" * self.random.choice((0, 50, 1000))])
            self.count += 1


def interface(**options):
    events = evframe.EventInterface(plugins={"stream": StreamTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


async def acknowledged(lease):
    await until(lambda: not lease.subscriber.depth)


async def read_all(peer, count):
    await until(lambda: len(set(peer.numbers())) == count, timeout_s=30)
    assert peer.first_of_each() == list(range(count))


async def test_peer_killed_with_unread_data_gets_it_again(tmp_path):
    """What the killed process had not read is read by the next one, also when nothing more is raised."""
    async with Peer(tmp_path) as peer, interface() as events:
        lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        load = Load(events)
        await peer.do("stop")
        load.burst()
        await acknowledged(lease)
        await peer.kill()
        await read_all(peer, load.count)


@pytest.mark.parametrize("end", ["close", "reset", "shut"])
async def test_connections_that_die_early_lose_nothing(tmp_path, end):
    """After a reset, what was unread outlives any number of connections that end right after the accept."""
    async with Peer(tmp_path) as peer, interface() as events:
        lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        load = Load(events)
        await peer.do("stop")
        load.burst()
        await acknowledged(lease)
        await peer.do("die_early 4")
        await peer.do(end)
        load.burst()
        await peer.do("read")
        await read_all(peer, load.count)


async def test_reset_that_follows_the_end_of_the_stream(tmp_path):
    """A peer that closes its side first, and only then throws away what it has not read, gets that again."""
    async with Peer(tmp_path) as peer, interface() as events:
        lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        load = Load(events)
        await peer.do("stop")
        load.burst()
        await acknowledged(lease)
        await peer.do("half")
        (connection,) = events.plugin("stream").connections
        await until(lambda: not connection.is_open)
        await peer.do("close")
        await peer.do("read")
        await read_all(peer, load.count)


async def test_peer_that_closes_its_side_reads_the_rest(tmp_path):
    """What a half-closed connection still takes is not sent again, and what comes later goes over the next one."""
    async with Peer(tmp_path) as peer, interface() as events:
        lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        load = Load(events)
        load.burst()
        await acknowledged(lease)
        await peer.do("half")
        (connection,) = events.plugin("stream").connections
        await until(lambda: not connection.is_open)
        load.burst()
        await read_all(peer, load.count)

    assert peer.numbers() == list(range(load.count))


@pytest.mark.parametrize("seed", range(int(os.environ.get("EVFRAME_SCHEDULES", "4"))))
async def test_any_schedule_of_ends_loses_nothing(tmp_path, seed):
    """Whatever way, and however often in a row, connections end: none is lost, and the order is kept."""
    choose = random.Random(seed)
    async with Peer(tmp_path) as peer, interface() as events:
        events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        load = Load(events, seed)
        for _ in range(8):
            for _ in range(choose.randint(1, 4)):
                await peer.do(choose.choice(["read", "stop", f"some {choose.randint(1, 5000)}"]))
                load.burst()
                await asyncio.sleep(choose.choice((0, 0.005, 0.03)))
            if choose.random() < 0.4:
                await peer.do(f"die_early {choose.randint(1, 4)}")
            end = choose.choice(["close", "shut", "half", "reset", "kill", "refuse"])
            if end == "kill":
                await peer.kill()
            elif end == "refuse":
                await peer.do("refuse")
                await peer.do(choose.choice(["close", "shut", "reset"]))
                load.burst()
                await asyncio.sleep(choose.choice((0, 0.1)))
                await peer.do("listen")
            else:
                await peer.do(end)
        await peer.do("read")
        await read_all(peer, load.count)


async def test_peer_that_resets_each_connection_is_not_called_without_a_pause():
    """The intervals grow between the connections on which the same bytes are acknowledged and thrown away."""
    times = []

    async def serve(_, writer):
        times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.02)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with StreamServer(serve) as server, interface(resend_ms=60_000) as events:
        events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{server.port}")
        await events.raise_event_and_wait("E_TEST", [1])
        await until(lambda: len(times) > 4)
    assert times[4] - times[3] > 0.15
