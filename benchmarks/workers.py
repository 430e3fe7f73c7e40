"""What workers cost and give: deliveries per second of processor time, of the front and the workers together.

usage: python benchmarks/workers.py [--rounds 5]

One interface without workers, one with one and one with two take turns in each round. The peers are processes of
their own, whose time does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import evframe

COUNTS = (0, 1, 2)
PARAMS = {"ip": "192.168.0.7", "cseq": 1234, "callid": "call-5", "method": "INVITE", "code": 200}
PEER = """
import http.server, socket, sys, threading
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 0))
server = socket.create_server(("", 0), backlog=100)
BODY = b"<?xml version='1.0'?><methodResponse><params><param><value><int>1</int></value></param></params></methodResponse>"

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/xml\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(BODY) + BODY)
    def log_message(self, *args):
        pass

http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
print(udp.getsockname()[1], server.getsockname()[1], http.server_address[1], flush=True)

def drop(connection):
    while connection.recv(1 << 20):
        pass

def accept():
    while True:
        threading.Thread(target=drop, args=(server.accept()[0],), daemon=True).start()

threading.Thread(target=accept, daemon=True).start()
threading.Thread(target=http.serve_forever, daemon=True).start()
sys.stdin.read()
"""


@contextmanager
def peer() -> Iterator[list[str]]:
    """Run a process that receives; yield its ports of UDP, TCP and HTTP."""
    words = [sys.executable, "-c", PEER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()
        process.communicate("")


def of_process(pid: int) -> float:
    """Return the seconds of processor time that a process has taken."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


class Interface:
    """An interface with workers or without."""

    def __init__(self, count: int, folder: str) -> None:
        path = Path(folder) / f"{count}.toml"
        path.write_text(
            '[plugins]\ndisable = ["mi-http", "mi-fifo", "mi-datagram", "state"]\n'
            f'[plugins.workers]\ncount = {count}\n[[events]]\nname = "E_TEST"\n'
        )
        self.events = evframe.EventInterface.from_toml(path)

    @property
    def seconds(self) -> float:
        """The processor time of the front and its workers."""
        processes = self.events.plugin("workers").processes
        return time.process_time() + sum(of_process(each.process.pid) for each in processes)

    async def settled(self) -> None:
        """Wait for all outcomes."""
        while any(each.depth for each in self.events.statistics):
            await asyncio.sleep(0.002)

    async def measure(self, sockets: list[str], count: int, burst: int) -> float:
        """Return the deliveries per second of processor time: *count* events, *burst* in each turn of the loop."""
        events = self.events
        for socket in sockets:
            events.subscribe_event("E_TEST", socket)
        await events.raise_event_and_wait("E_TEST", PARAMS, timeout_s=60)
        await self.settled()
        await asyncio.sleep(0.1)  # a worker that was started just now has done its own work
        began = self.seconds
        for number in range(count):
            events.raise_event("E_TEST", {**PARAMS, "n": number})
            if number % burst == burst - 1:
                await asyncio.sleep(0)
        await self.settled()
        taken = self.seconds - began
        totals = [each for each in events.statistics if each.socket in sockets]
        failed = sum(each.failed for each in totals)
        if failed:
            raise RuntimeError(f"expected no failure, got {failed}: {totals[0]}")
        for socket in sockets:
            events.unsubscribe_event("E_TEST", socket)
        while len(events.statistics) > 1:
            await asyncio.sleep(0.002)
        return count * len(sockets) / taken


async def run(rounds: int) -> None:
    """Print the medians of each row."""
    with peer() as (udp, tcp, http), tempfile.TemporaryDirectory() as folder:
        rows = {
            "udp, 100 subscribers": ([f"udp:127.0.0.{number}:{udp}" for number in range(1, 101)], 4_000, 50),
            "udp, 20 subscribers": ([f"udp:127.0.0.{number}:{udp}" for number in range(1, 21)], 20_000, 50),
            "udp, 20 subscribers, an event in each turn": (
                [f"udp:127.0.0.{number}:{udp}" for number in range(1, 21)],
                3_000,
                1,
            ),
            "tcp, 20 subscribers": ([f"tcp:127.0.0.{number}:{tcp}" for number in range(1, 21)], 20_000, 50),
            "xmlrpc, 20 subscribers": ([f"xmlrpc:127.0.0.1:{http}/RPC2:m{number}" for number in range(20)], 1_000, 20),
        }
        async with AsyncExitStack() as stack:
            interfaces = [Interface(count, folder) for count in COUNTS]
            for each in interfaces:
                await stack.enter_async_context(each.events)
            while not all(each.status == 1 for one in interfaces for each in one.events.status.group("workers")):
                await asyncio.sleep(0.1)
            for name, (sockets, count, burst) in rows.items():
                found = [[await each.measure(sockets, count, burst) for each in interfaces] for _ in range(rounds)]
                none, one, two = (statistics.median(column) for column in zip(*found, strict=True))
                ratio = statistics.median(two / one for _, one, two in found)
                to_none = statistics.median(one / none for none, one, _ in found)
                print(
                    f"{name:45} none {none:10,.0f}  one {one:10,.0f}  two {two:10,.0f}"
                    f"  two/one {ratio:.2f}  one/none {to_none:.2f}",
                    flush=True,
                )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(run(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
