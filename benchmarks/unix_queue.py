"""What a longer queue of UNIX datagrams changes: the rate to a reader that keeps up, and the time of each processor.

usage: unshare --net python benchmarks/unix_queue.py [lengths …]   (as root)

The length, `net.unix.max_dgram_qlen`, belongs to a network namespace, so that nothing else of the machine sees it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

from evframe_datagram import DatagramTransport

import evframe
from evframe.cli.gateway import run_loop, set_up_collector

SETTING = Path("/proc/sys/net/unix/max_dgram_qlen")
ROUNDS = 5
EVENTS = 100_000
IN_A_TURN = 50


def reader(path: str, ready: Event) -> None:
    """Read every event."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        ready.set()
        for _ in range(EVENTS):
            receiver.recv(65536)


async def measure(path: str) -> tuple[float, float]:
    """Return the events in a second, and the processor time of each in microseconds."""
    async with evframe.EventInterface(plugins={"datagram": DatagramTransport()}) as events:
        set_up_collector()
        events.register_event("E_A")
        lease = events.subscribe_event("E_A", f"unix:{path}")
        counters = lease.subscriber
        began, computed = time.perf_counter(), time.process_time()
        for number in range(0, EVENTS, IN_A_TURN):
            for each in range(IN_A_TURN):
                events.raise_event("E_A", {"number": number + each, "caller": "sip:alice@example.com"})
            while counters.depth > 5_000:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
        while counters.delivered < EVENTS:
            await asyncio.sleep(0.001)
        assert not counters.failed
        return EVENTS / (time.perf_counter() - began), (time.process_time() - computed) * 1e6 / EVENTS


async def main(lengths: list[int]) -> None:
    """Print a line for each length; all take turns."""
    found: dict[int, list[tuple[float, float]]] = {length: [] for length in lengths}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS):
            for length in lengths:
                SETTING.write_text(str(length))
                path, ready = f"{folder}/{turn}-{length}", multiprocessing.Event()
                process = multiprocessing.Process(target=reader, args=(path, ready), daemon=True)
                process.start()
                ready.wait()
                found[length].append(await measure(path))
                process.join()
    first = found[lengths[0]]
    for length, each in found.items():
        rate, cost = (statistics.median(one[which] for one in each) for which in (0, 1))
        ratio = statistics.median(one[0] / other[0] for one, other in zip(each, first, strict=True))
        print(f"{length:6} datagrams: {rate:9,.0f} events/s, ratio {ratio:.2f}, {cost:.2f} us of a processor each")


if __name__ == "__main__":
    if os.geteuid() or [name for _, name in socket.if_nameindex()] != ["lo"]:  # a new namespace has nothing else
        sys.exit(__doc__)
    run_loop(main([int(text) for text in sys.argv[1:]] or [10, 100, 1000]))
