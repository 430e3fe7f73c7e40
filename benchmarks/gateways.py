"""Compare one gateway of a fleet with two: `python benchmarks/gateways.py BROKERS [--rounds N] [--deliveries N]`.

Deliveries per second of processor time, of whole gateway processes, with the same load of events of 220 bytes by way of
a real Kafka at BROKERS (host:port): a gateway without a fleet raises and delivers all, one of a fleet does, and two of
a fleet raise a half each and have the partitions divided. They take turns in each round. A peer with UDP is another
process; its time does not count, nor does that of the broker.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
from workers import peer

import evframe
from evframe.cli.gateway import run_loop, set_up_collector

NAMES = 16
PARAMS = {"code": 200, "text": "sip:bob@example.org".ljust(132, ".")}
TICK_S = 0.01
IN_A_TURN = 50
IN_MEMORY = 5000
CONFIGURATION = """
[plugins]
disable = ["mi-http", "mi-fifo", "mi-datagram", "state"]
[plugins.fleet]
brokers = "{brokers}"
name = "{name}"
group_id = "{run}"
leases_topic = "{run}.leases"
events_topic = "{run}.events"
replication_factor = 1
"""


@attrs.frozen
class Row:
    """What is raised."""

    label: str
    rate: int
    """Events a second of all gateways together; 0 for as many as they can."""
    subscribers: int = 1
    """Of each event."""


ROWS = (
    Row("2,000 events a second", 2_000),
    Row("20,000 events a second", 20_000),
    Row("as many as it can", 0),
    Row("as many as it can, 20 subscribers of each", 0, 20),
)


# The processes


async def raise_events(events: evframe.EventInterface, count: int, rate: int) -> None:
    """Raise *count* events, and return when all are acknowledged."""
    began, raised = time.monotonic(), 0
    while raised < count:
        due = min(count, int((time.monotonic() - began) * rate) if rate else raised + IN_A_TURN)
        for number in range(raised, due):
            events.raise_event(f"E_{number % NAMES}", PARAMS)
        if not rate and raised // IN_MEMORY != due // IN_MEMORY:
            await events.raise_event_and_wait("E_LAST", PARAMS, until="stored")
        raised = due
        await asyncio.sleep(TICK_S if rate else 0)
    await events.raise_event_and_wait("E_LAST", PARAMS, until="stored")


async def serve(path: str) -> None:
    """Run a gateway that does what the lines of its input say, and answers each with a line of JSON."""
    logging.disable()  # rebalances of the start
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with evframe.EventInterface.from_toml(path) as events:
        set_up_collector()
        while line := await lines.readline():
            order = json.loads(line)
            if "sockets" in order:
                for name, socket in order["sockets"]:
                    events.subscribe_event(name, socket)
            if "count" in order:
                await raise_events(events, order["count"], order["rate"])
            totals = events.statistics
            gauges = {name: each for group in events.plugins.statistics() for name, each in group.gauges.items()}
            answer = {
                "taken": time.process_time(),
                "delivered": sum(each.delivered for each in totals),
                "failed": sum(each.failed for each in totals),
                "partitions": gauges.get("owned_partitions"),
                "leases": gauges.get("leases"),
            }
            print(json.dumps(answer), flush=True)


class Gateway:
    """A gateway process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, **order: Any) -> dict[str, Any]:
        """Have the gateway do something, and return its figures."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer

    async def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


# The measurement


async def gateways(stack: AsyncExitStack, folder: Path, brokers: str, count: int, sockets: list[Any]) -> list[Gateway]:
    """Start *count* gateways, and return them when each has its share of the partitions and all subscribers."""
    run, found = uuid.uuid4().hex, []
    for number in range(count):
        path = folder / f"{run}-{number}.toml"
        events = "".join(f'[[events]]\nname = "E_{name}"\n' for name in [*range(NAMES), "LAST"])
        path.write_text(CONFIGURATION.format(brokers=brokers, name=number, run=run) + events)
        pipe = subprocess.PIPE
        words = [sys.executable, __file__, "--gateway", str(path)]
        gateway = Gateway(await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe))
        stack.push_async_callback(gateway.end)
        found.append(gateway)
    await found[0].ask(sockets=sockets)
    while brokers:
        figures = [await each.ask() for each in found]
        parts = [each["partitions"] for each in figures]
        if all(parts) and sum(parts) == 64 and all(each["leases"] == len(sockets) for each in figures):
            break
        await asyncio.sleep(0.1)
    return found


async def measure(found: list[Gateway], row: Row, deliveries: int) -> tuple[float, float]:
    """Return the deliveries per second of processor time, and per second of the clock."""
    count = deliveries // row.subscribers // len(found)
    if row.rate:
        count = min(count, 5 * row.rate // len(found))
    before = [await each.ask() for each in found]
    began = time.monotonic()
    await asyncio.gather(*(each.ask(count=count, rate=row.rate // len(found)) for each in found))
    expected = count * len(found) * row.subscribers
    while True:
        after = [await each.ask() for each in found]
        delivered = sum(each["delivered"] for each in after) - sum(each["delivered"] for each in before)
        if delivered >= expected:
            break
        await asyncio.sleep(0.02)
    passed = time.monotonic() - began
    if any(each["failed"] for each in after):
        raise RuntimeError(f"expected no failure, got {after}")
    taken = sum(each["taken"] for each in after) - sum(each["taken"] for each in before)
    return delivered / taken, delivered / passed


async def run(brokers: str, rounds: int, deliveries: int) -> None:
    """Print the medians of each row."""
    print(f"{'deliveries per second of processor time (of the clock)':57}no fleet, one gateway, two; two to one")
    for row in ROWS:
        with peer() as (udp, *_), tempfile.TemporaryDirectory() as folder:
            sockets = [
                (f"E_{name}", f"udp:127.0.{name}.{number}:{udp}")
                for name in range(NAMES)
                for number in range(1, row.subscribers + 1)
            ]
            async with AsyncExitStack() as stack:
                kinds = [
                    await gateways(stack, Path(folder), brokers if is_fleet else "", count, sockets)
                    for is_fleet, count in ((False, 1), (True, 1), (True, 2))
                ]
                for each in kinds:
                    await measure(each, attrs.evolve(row, rate=0), 20_000)
                found = [[await measure(each, row, deliveries) for each in kinds] for _ in range(rounds)]
            columns = [
                f"{statistics.median(rate for rate, _ in column):9,.0f}"
                f" ({statistics.median(rate for _, rate in column):9,.0f})"
                for column in zip(*found, strict=True)
            ]
            ratio = statistics.median(two[0] / one[0] for _, one, two in found)
            print(f"{row.label:45}", *columns, f"{ratio:.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("brokers", nargs="?", default="")
    parser.add_argument("--gateway", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--deliveries", type=int, default=100_000)
    given = parser.parse_args()
    run_loop(serve(given.gateway) if given.gateway else run(given.brokers, given.rounds, given.deliveries))
