"""Measure what it costs to keep a subscriber on disk: `python benchmarks/kept.py [--rounds N] [--events N]`.

Each round measures the queue in memory and that of the journal one after the other, in one process: a peer that takes
all, a peer that is away until every event waits (with the journal: is on disk), and the delivery over UDP of what has
waited on disk, which is compared with events that were raised while the peer takes all. The last row is the time from
a raise to the delivery at a neighbour, while another subscriber's peer is away. The ratio is the median of the rounds'
ratios; a higher one is better.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
from evframe_datagram import DatagramTransport
from evframe_journal import JournalPlugin, Options

import evframe
from evframe import Batch, Unavailable, hookimpl
from evframe.cli.gateway import run_loop, set_up_collector
from evframe.config import Config, CoreOptions
from evframe.plugin import Limits, Policy
from evframe.testing import MemorySocket

TURN = 50
NEIGHBOUR_S = 2.0
NEIGHBOUR_TURNS = 1000  # a second


class Peer:
    """A transport that takes events, or is away except for the neighbour."""

    schemes = ("memory",)
    limits = Limits(batch_events=4096)

    def __init__(self) -> None:
        self.is_away = False
        self.ages: list[float] = []
        """How old each event of the neighbour was, in seconds."""

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> object | None:
        return MemorySocket(rest) if scheme == "memory" else None

    @hookimpl
    def deliver(self, socket: MemorySocket, batch: Batch) -> bool:
        if socket.name == "neighbour":
            now = time.monotonic()
            self.ages += [now - event.raised_at for event in batch.events]
        elif self.is_away:
            raise Unavailable("away")
        return True


@attrs.define
class Row:
    """Events a second of one way to keep them, and what else was seen."""

    up: float = 0.0
    up_udp: float = 0.0
    away: float = 0.0
    drain_udp: float = 0.0
    latency_ms: float = 0.0
    written_while_up: int = 0
    memory_kb: int = 0
    lost: int = 0


@contextlib.asynccontextmanager
async def interface(keep: str, count: int, peer: object) -> AsyncIterator[tuple[evframe.EventInterface, JournalPlugin]]:
    """Provide an interface with an event, and a queue of the kind *keep* for *count* of them."""
    with tempfile.TemporaryDirectory() as folder:
        journal = JournalPlugin(Options(str(Path(folder, "journal"))))
        config = Config(core=CoreOptions(queue_size=count if keep == "memory" else 65_536))
        plugins = {"peer": peer, "journal": journal}
        async with evframe.EventInterface(config, plugins=plugins) as events:
            events.register_event("E_BENCH", {"caller": str, "code": int})
            yield events, journal


async def raise_all(events: evframe.EventInterface, count: int) -> float:
    """Raise *count* events, some each turn of the loop; return when this began."""
    start = time.perf_counter()
    for number in range(count):
        events.raise_event("E_BENCH", {"caller": "alice-000001", "code": number})
        if number % TURN == TURN - 1:
            await asyncio.sleep(0)
    return start


async def until_empty(events: evframe.EventInterface) -> None:
    """Wait until no event waits."""
    while events.statistics[0].depth:
        await asyncio.sleep(0.0005)


def rate(count: int, start: float) -> float:
    """Return the events a second since *start*."""
    return count / (time.perf_counter() - start)


async def measure_null(keep: str, count: int, row: Row) -> None:
    """Measure a transport that does nothing, whose peer takes all and then is away."""
    peer = Peer()
    async with interface(keep, count, peer) as (events, journal):
        events.subscribe_event("E_BENCH", "memory:peer", policy=Policy(keep=keep))
        start = await raise_all(events, count)
        await until_empty(events)
        row.up = rate(count, start)
        row.written_while_up = journal.written
        peer.is_away = True
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = await raise_all(events, count)
        while keep == "disk" and journal.written + events.statistics[0].failed < count:
            await asyncio.sleep(0.0005)
        row.lost = events.statistics[0].failed
        row.away = rate(count - row.lost, start)
        row.memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


async def measure_udp(keep: str, count: int, row: Row) -> None:
    """Measure UDP to a socket on this machine, which is not read: what it has no room for, the kernel drops."""
    async with interface(keep, count, DatagramTransport()) as (events, _):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            address = receiver.getsockname()
            events.subscribe_event("E_BENCH", f"udp:127.0.0.1:{address[1]}", policy=Policy(keep=keep))
            start = await raise_all(events, count)
            await until_empty(events)
            row.up_udp = rate(count, start)
        if keep == "memory":
            row.drain_udp = row.up_udp  # the queue in memory has no events for a peer that refuses them
            return
        await raise_all(events, count)
        waited = events.statistics[0].depth
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(address)
            while events.statistics[0].depth == waited:  # until the next attempt to reach it
                await asyncio.sleep(0)
            start = time.perf_counter()
            await until_empty(events)
            row.drain_udp = rate(waited, start)


async def measure_neighbour(keep: str, row: Row) -> None:
    """Measure the time to the delivery at one subscriber, while the events of another one wait."""
    peer = Peer()
    peer.is_away = True
    async with interface(keep, 200_000, peer) as (events, _):
        events.subscribe_event("E_BENCH", "memory:peer", policy=Policy(keep=keep))
        events.subscribe_event("E_BENCH", "memory:neighbour")
        start = time.perf_counter()
        for turn in range(int(NEIGHBOUR_S * NEIGHBOUR_TURNS)):
            for number in range(TURN):
                events.raise_event("E_BENCH", {"caller": "alice-000001", "code": number})
            await asyncio.sleep(max(0.0, start + turn / NEIGHBOUR_TURNS - time.perf_counter()))
    row.latency_ms = statistics.quantiles(peer.ages, n=100)[98] * 1000


def measure(keep: str, count: int) -> Row:
    """Measure one way to keep events, in loops as a gateway's."""
    row = Row()
    run_loop(measure_null(keep, count, row))
    run_loop(measure_udp(keep, count, row))
    run_loop(measure_neighbour(keep, row))
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=200_000)
    arguments = parser.parse_args()
    sys.setswitchinterval(0.0005)  # as a gateway does: see the page of the journal
    set_up_collector()
    rounds = [[measure(keep, arguments.events) for keep in ("memory", "disk")] for _ in range(arguments.rounds)]
    print(f"{'':36} {'memory':>12} {'disk':>12} {'ratio':>6}")
    for name, field, is_time in (
        ("peer takes all, events/s", "up", False),
        ("the same over UDP, events/s", "up_udp", False),
        ("peer away, on disk, events/s", "away", False),
        ("delivery of what waited, UDP", "drain_udp", False),
        ("neighbour, 99 of 100 within, ms", "latency_ms", True),
    ):
        memory, disk = ([getattr(row[which], field) for row in rounds] for which in (0, 1))
        ratio = statistics.median((a / b if is_time else b / a) for a, b in zip(memory, disk, strict=True))
        digits = 2 if is_time else 0
        print(
            f"{name:36} {statistics.median(memory):12,.{digits}f} {statistics.median(disk):12,.{digits}f} {ratio:6.2f}"
        )
    print(f"events written while the peer took all: {max(row[1].written_while_up for row in rounds)}")
    print(f"memory while the peer was away, first round: {rounds[0][1].memory_kb:,} kB")
    print(f"events lost: {max(row[1].lost for row in rounds)}")


if __name__ == "__main__":
    main()
