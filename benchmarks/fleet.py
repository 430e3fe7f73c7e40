"""Measure what a fleet costs for each event: `python benchmarks/fleet.py BROKERS [--rounds N] [--deliveries N]`.

One gateway raises events of 220 bytes and delivers them itself, by way of a real Kafka at BROKERS (host:port): the
processor time of the process is that of raising, of the frames, of the client of Kafka for writing and reading, and of
delivering to peers that take all. It is compared with the same events in the same process without a fleet. Where a row
waits, each turn of the loop waits for the acknowledgement of its frames, so that a frame has what the row says; else
frames become as large as they do under load. A request to Kafka costs the same for one frame and for the frames of
many partitions.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
import uuid

import attrs
from evframe_fleet import FleetPlugin, Options
from evframe_shards.hashing import shard_of

import evframe
from evframe import Batch, hookimpl
from evframe.cli.gateway import run_loop, set_up_collector
from evframe.config import Config
from evframe.plugin import Limits
from evframe.testing import MemorySocket


class Peer:
    """A transport that counts events."""

    schemes = ("memory",)
    limits = Limits(batch_events=4096)

    def __init__(self) -> None:
        self.count = 0

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> MemorySocket | None:
        """Parse ``memory:`` sockets."""
        return MemorySocket(rest) if scheme == "memory" else None

    @hookimpl
    def deliver(self, batch: Batch) -> bool:
        """Take all."""
        self.count += len(batch.events)
        return True


@attrs.frozen
class Row:
    """What is raised."""

    label: str
    events: int = 1
    """Of each name, in a turn of the loop."""
    names: int = 1
    """Of events, each in a separate partition."""
    subscribers: int = 1
    """Of each name, all in its partition."""
    waits: bool = True
    """For the acknowledgement, before the next turn."""
    share: float = 1.0
    """Of the turns that others have."""


ROWS = (
    Row("1 event in a frame, 1 frame at a time", share=0.05),
    Row("50 events in a frame, 1 frame at a time", events=50),
    Row("50 events in a frame, 16 frames at a time", events=50, names=16),
    Row("50 events in a turn, no wait", events=50, waits=False),
    Row("1 event in a turn, no wait", waits=False),
    Row("50 events in a frame, each for 300 subscribers", events=50, subscribers=300),
    Row("1 event in a frame, for 300 subscribers", subscribers=300, share=0.05),
)


def sockets_of(partition: int, partitions: int, count: int) -> list[str]:
    """Return *count* subscribers of a partition."""
    found = (f"memory:{number}" for number in itertools.count())
    return list(itertools.islice((each for each in found if shard_of(each, partitions) == partition), count))


async def cost_us(options: Options, row: Row, deliveries: int) -> float:
    """Return the microseconds of processor time for each delivery."""
    peer = Peer()
    plugins = {"memory": peer, "fleet": FleetPlugin(options)}
    names = [f"E_TEST_{number}" for number in range(row.names)]
    turn = row.events * row.names * row.subscribers
    params = {"code": 200, "text": "sip:bob@example.org".ljust(132, ".")}
    async with evframe.EventInterface(Config(), plugins=plugins) as interface:
        for partition, name in enumerate(names):
            interface.register_event(name, {"code": int, "text": str})
            for socket in sockets_of(partition, row.names, row.subscribers):
                interface.subscribe_event(name, socket)
        set_up_collector()

        async def run(turns: int) -> None:
            until = peer.count + turns * turn
            for _ in range(turns):
                for _ in range(row.events - row.waits):
                    for name in names:
                        interface.raise_event(name, params)
                if row.waits:
                    raises = [interface.raise_event_and_wait(name, params, until="stored") for name in names]
                    await (raises[0] if len(raises) == 1 else asyncio.gather(*raises))
                else:
                    await asyncio.sleep(0)
            while peer.count < until:
                await asyncio.sleep(0.001)

        await run(20)  # the partitions are had, and code is warm
        turns = max(1, round(deliveries * row.share / turn))
        before = time.process_time()
        await run(turns)
        return (time.process_time() - before) / (turns * turn) * 1e6


async def measure(brokers: str, rounds: int, deliveries: int) -> None:
    """Print the table."""
    print(f"µs of processor time for each delivery: {'':9} with a fleet   without   the fleet's part")
    for row in ROWS:
        with_fleet, without = [], []
        for _ in range(rounds):
            name = uuid.uuid4().hex
            topics = {"leases_topic": f"leases.{name}", "events_topic": f"events.{name}", "group_id": name}
            fleet = Options(brokers=brokers, replication_factor=1, partitions=row.names, **topics)
            with_fleet.append(await cost_us(fleet, row, deliveries))
            without.append(await cost_us(Options(), row, deliveries))
        one, other = statistics.median(with_fleet), statistics.median(without)
        print(f"{row.label:50} {one:11.2f} {other:9.2f} {one - other:18.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("brokers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--deliveries", type=int, default=50_000)
    given = parser.parse_args()
    run_loop(measure(given.brokers, given.rounds, given.deliveries))
