"""The pauses of the cyclic garbage collector while a gateway fills its queues and its subscribers come and go.

usage: python benchmarks/pauses.py [events that wait] [subscribers that come and go]
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import defaultdict

import evframe
from evframe.cli.gateway import run_loop, set_up_collector
from evframe.config import Config, CoreOptions

QUEUES = 4


def watch_pauses() -> dict[int, list[float]]:
    """Return the pauses of each generation as they come, in milliseconds of this thread's own time."""
    pauses: dict[int, list[float]] = defaultdict(list)
    began = [0.0]

    def watch(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            began[0] = time.thread_time()
        else:
            pauses[info["generation"]].append((time.thread_time() - began[0]) * 1000)

    gc.callbacks.append(watch)
    return pauses


async def fill(events: evframe.EventInterface, waiting: int) -> None:
    """Have events wait for subscribers that are away."""
    for number in range(waiting // QUEUES):
        events.raise_event("E_FULL", {"number": number, "caller": "sip:alice@example.com", "tags": ["a", {"b": 1}]})
        if number % 200 == 0:
            await asyncio.sleep(0)


async def churn(events: evframe.EventInterface, subscribers: int) -> None:
    """Have subscribers come, fail and go."""
    for number in range(subscribers):
        events.subscribe_event("E_CHURN", f"virtual:FAILOVER udp:127.0.0.1:9 tcp:127.0.0.1:1/{number}", 1)
        if number % 20 == 0:
            events.raise_event("E_CHURN", {"number": number})
            await asyncio.sleep(0.01)


async def main(waiting: int, subscribers: int) -> None:
    """Print the number of collections and the longest pause of each generation."""
    core = CoreOptions(queue_size=waiting, drain_timeout_s=0.0)
    async with evframe.EventInterface(Config(core=core, disable=["mi-http", "core-events", "lease-events"])) as events:
        for name in ("E_FULL", "E_CHURN"):
            events.register_event(name)
        for number in range(QUEUES):
            events.subscribe_event("E_FULL", f"tcp:127.0.0.1:1/{number}")
        set_up_collector()
        pauses = watch_pauses()
        await fill(events, waiting)
        await churn(events, subscribers)
        for generation, found in sorted(pauses.items()):
            print(f"generation {generation}: {len(found)} collections, longest {max(found):.1f} ms")


if __name__ == "__main__":
    run_loop(main(*map(int, sys.argv[1:] or ["1000000", "10000"])))
