"""Measure what waits on disk: `python benchmarks/waiting.py [--events N] [--subscribers N]`.

One subscriber that is away gets all events, then a process starts with them; after that so many subscribers get
their share, each with its own events. Each step is a process, whose memory is compared with that of one in which
nothing waits.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evframe_journal import JournalPlugin, Options

import evframe
from evframe import Unavailable, hookimpl
from evframe.plugin import Policy
from evframe.testing import MemorySocket

TURN = 50
AHEAD = 50_000  # events


class Peer:
    """A transport whose peers are away."""

    schemes = ("memory",)

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> object | None:
        return MemorySocket(rest) if scheme == "memory" else None

    @hookimpl
    def deliver(self) -> bool:
        raise Unavailable("away")


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    gc.collect()
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


async def step(path: str, subscribers: int, count: int) -> None:
    """Raise *count* events for each of *subscribers*, until they are on disk; print the seconds and the memory."""
    sys.setswitchinterval(0.0005)
    start = time.perf_counter()
    journal = JournalPlugin(Options(path))
    async with evframe.EventInterface(plugins={"peer": Peer(), "journal": journal}) as events:
        names = [f"E_{number}" for number in range(subscribers)]
        for name in names:
            events.register_event(name, {"caller": str, "code": int})
            events.subscribe_event(name, f"memory:{name}", policy=Policy(keep="disk"))
        opened = time.perf_counter() - start
        raised = 0
        for number in range(count):
            for name in names:
                events.raise_event(name, {"caller": "alice-000001" * 10, "code": number})
                raised += 1
                if raised % TURN == 0:
                    await asyncio.sleep(0)
                while raised - journal.written > AHEAD:  # the disk is slower
                    await asyncio.sleep(0.001)
        while journal.written < raised:
            await asyncio.sleep(0.01)
        lost = sum(each.failed for each in events.statistics[:-1])
        await asyncio.sleep(1)  # a few frames come into memory
        waiting = sum(each.depth for each in events.statistics[:-1])
        print(f"{opened:.2f} {resident()} {waiting} {lost}", flush=True)


def run(path: str, subscribers: int, count: int) -> tuple[float, int, int, int]:
    """Run a step in a process; return the seconds of its start, its memory, and how many events wait and are lost."""
    words = [sys.executable, __file__, "--step", path, str(subscribers), str(count)]
    opened, memory, waiting, lost = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return float(opened), int(memory), int(waiting), int(lost)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        path, subscribers, count = arguments.step
        asyncio.run(step(path, int(subscribers), int(count)))
        return
    print(f"{'':38} {'start s':>8} {'memory MB':>10} {'waiting':>10} {'lost':>8}")
    for subscribers in (1, arguments.subscribers):
        with tempfile.TemporaryDirectory() as folder:
            idle = run(f"{folder}/idle", subscribers, 0)[1]
            for name, count in ((f"{subscribers} away", arguments.events // subscribers), ("the next process", 0)):
                opened, memory, waiting, lost = run(f"{folder}/journal", subscribers, count)
                print(f"{name:38} {opened:8.2f} {(memory - idle) / 1e6:10.1f} {waiting:10,} {lost:8,}")


if __name__ == "__main__":
    main()
