"""Measure what it costs to keep a subscriber on disk: `python benchmarks/kept.py [--rounds N] [--events N]`.

Each round measures the queue in memory and that of the journal one after the other, in one process: a peer that takes
all, a peer that is away until every event waits (with the journal: is on disk), and the delivery of what waited.
The ratio is the median of the rounds' ratios; a higher one is better.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from evframe_journal import JournalPlugin, Options

import evframe
from evframe import Unavailable, hookimpl
from evframe.config import Config, CoreOptions
from evframe.plugin import Limits, Policy
from evframe.testing import MemorySocket

TURN = 50


class Peer:
    """A transport that takes events, or is away."""

    schemes = ("memory",)
    limits = Limits(batch_events=4096)

    def __init__(self) -> None:
        self.is_away = False

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> object | None:
        return MemorySocket(rest) if scheme == "memory" else None

    @hookimpl
    def deliver(self) -> bool:
        if self.is_away:
            raise Unavailable("away")
        return True


async def measure(keep: str, count: int) -> tuple[float, float, float, int, int, int]:
    """Return what was measured.

    These are the events a second with a peer that takes all, with one that is away, and of the delivery of what
    waited; how many events were written during the first; the kilobytes of memory and the losses of the second.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        peer, journal = Peer(), JournalPlugin(Options(str(path)))
        config = Config(core=CoreOptions(queue_size=count if keep == "memory" else 65_536))
        async with evframe.EventInterface(config, plugins={"peer": peer, "journal": journal}) as events:
            events.register_event("E_BENCH", {"caller": str, "code": int})
            events.subscribe_event("E_BENCH", "memory:peer", policy=Policy(keep=keep))

            async def raise_all() -> float:
                start = time.perf_counter()
                for number in range(count):
                    events.raise_event("E_BENCH", {"caller": "alice-000001", "code": number})
                    if number % TURN == TURN - 1:
                        await asyncio.sleep(0)
                return start

            def rate(start: float) -> float:
                return count / (time.perf_counter() - start)

            async def until_empty() -> None:
                while events.statistics[0].depth:
                    await asyncio.sleep(0.0005)

            start = await raise_all()
            await until_empty()
            up = rate(start)
            written = journal.written
            peer.is_away = True
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            start = await raise_all()
            while keep == "disk" and journal.written + events.statistics[0].failed < count:
                await asyncio.sleep(0.0005)
            lost = events.statistics[0].failed
            away = rate(start)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            peer.is_away = False
            start = time.perf_counter()
            await until_empty()
            return up, away, rate(start), written, memory, lost
    raise AssertionError


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=200_000)
    arguments = parser.parse_args()
    sys.setswitchinterval(0.0005)  # as a gateway does: see the page of the journal
    rounds = [
        [asyncio.run(measure(keep, arguments.events)) for keep in ("memory", "disk")] for _ in range(arguments.rounds)
    ]
    print(f"{'':36} {'memory/s':>10} {'disk/s':>10} {'ratio':>6}")
    for index, name in enumerate(("peer takes all", "peer away, on disk", "delivery of what waited")):
        memory = statistics.median(row[0][index] for row in rounds)
        disk = statistics.median(row[1][index] for row in rounds)
        ratio = statistics.median(row[1][index] / row[0][index] for row in rounds)
        print(f"{name:36} {memory:10,.0f} {disk:10,.0f} {ratio:6.2f}")
    print(f"events written while the peer took all: {max(row[1][3] for row in rounds)}")
    print(
        f"memory while the peer was away, first round: {rounds[0][1][4]:,} kB; events lost: {max(row[1][5] for row in rounds)}"
    )


if __name__ == "__main__":
    main()
