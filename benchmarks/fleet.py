"""Measure what a fleet costs for each event: `python benchmarks/fleet.py BROKERS [--rounds N] [--events N]`.

One gateway raises events for a subscriber and delivers them itself, by way of a real Kafka at BROKERS (host:port): the
processor time of the process is that of raising, of the frames, of the client of Kafka for writing and reading, and of
delivering to a peer that takes all. It is compared with the same events in the same process without a fleet. A row
has so many events in each turn of the loop, and waits for the acknowledgement of their frame before the next turn; the
last one does not wait, so that frames become as large as they do under load.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
import uuid

from evframe_fleet import FleetPlugin, Options

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


async def cost_us(options: Options, events: int, turn: int, *, waits: bool) -> float:
    """Return the microseconds of processor time for each event."""
    peer = Peer()
    plugins = {"memory": peer, "fleet": FleetPlugin(options)}
    async with evframe.EventInterface(Config(), plugins=plugins) as interface:
        interface.register_event("E_TEST", {"code": int, "text": str})
        interface.subscribe_event("E_TEST", "memory:peer")
        set_up_collector()

        async def run(count: int) -> None:
            until = peer.count + count
            for start in range(0, count, turn):
                for number in range(start, start + turn - 1):
                    interface.raise_event("E_TEST", {"code": number, "text": "sip:bob@example.org"})
                last = {"code": start, "text": "sip:bob@example.org"}
                if waits:
                    await interface.raise_event_and_wait("E_TEST", last, until="stored")
                else:
                    interface.raise_event("E_TEST", last)
                    await asyncio.sleep(0)
            while peer.count < until:
                await asyncio.sleep(0.001)

        await run(20 * turn)  # the partition is had, and code is warm
        before = time.process_time()
        await run(events)
        return (time.process_time() - before) / events * 1e6


async def measure(brokers: str, rounds: int, events: int) -> None:
    """Print the table."""
    print("events of a turn   with a fleet   without   the fleet's part   (µs of processor time for each event)")
    for turn, waits in ((1, True), (50, True), (200, True), (50, False)):
        with_fleet, without = [], []
        for _ in range(rounds):
            name = uuid.uuid4().hex
            topics = {"leases_topic": f"leases.{name}", "events_topic": f"events.{name}", "group_id": name}
            fleet = Options(brokers=brokers, replication_factor=1, partitions=1, **topics)
            count = max(turn, events // (20 if turn == 1 else 1))
            with_fleet.append(await cost_us(fleet, count, turn, waits=waits))
            without.append(await cost_us(Options(), count, turn, waits=waits))
        one, other = statistics.median(with_fleet), statistics.median(without)
        label = f"{turn}{'' if waits else ', without a wait'}"
        print(f"{label:18} {one:12.2f} {other:9.2f} {one - other:18.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("brokers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=50_000)
    given = parser.parse_args()
    run_loop(measure(given.brokers, given.rounds, given.events))
