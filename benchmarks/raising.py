"""A process that raises events and prints its own processor time for each; `own.py` runs it.

It uses nothing but what every commit has: the checkout that it measures may be an old one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import uvloop
from counting import counting

import evframe
from evframe.config import Config, CoreOptions

Params = dict[str, Any]


def two(number: int) -> Params:
    """Return a new dict of two parameters."""
    return {"caller": "alice-000001", "code": number}


def ten(number: int) -> Params:
    """Return a new dict of ten parameters."""
    return {
        "caller": "alice-000001",
        "code": number,
        "callee": "bob-000001",
        "ip": "192.168.1.10",
        "port": 5060,
        "method": "INVITE",
        "reason": "busy here",
        "hits": 12345,
        "domain": "example.com",
        "ttl": 3600,
    }


def add_route(events: evframe.EventInterface, kind: str) -> str:
    """Add a route that counts; return its socket."""
    events.plugin("route").add("bench", counting(kind), inline=kind == "inline")
    return "route:bench"


async def cpu_s(raise_event: Callable[[str, Any], None], work: dict[str, Any], is_over: Callable[[], bool]) -> float:
    """Return the seconds of this process from the first raise until *is_over*."""
    make = {2: two, 10: ten}[work["params"]]
    count, turn = work["count"], work["turn"]
    if work["flatters"]:
        same = make(0)
        make = lambda _: same  # noqa: E731
    start = time.process_time()
    for first in range(0, count, turn):
        for number in range(first, first + turn):
            raise_event("E_BENCH", make(number))
        await asyncio.sleep(0)
    while not is_over():
        await asyncio.sleep(0.0005)
    return time.process_time() - start


async def main(work: dict[str, Any]) -> None:
    """Print the microseconds of a delivery."""
    installed = [entry.name for entry in entry_points(group="evframe")]
    # The one that opens a port, as a merely installed plugin does not in a service.
    disable = [name for name in installed if name != work["plugin"]] if work["flatters"] else ["mi-http"]
    config = Config(core=CoreOptions(queue_size=work["count"]), disable=disable)
    async with evframe.EventInterface(config) as events:
        types = {name: type(value) for name, value in {2: two, 10: ten}[work["params"]](0).items()}
        events.register_event("E_BENCH", types if work["declared"] else None)
        for text in work["sockets"]:
            socket = add_route(events, text.partition(":")[2]) if text.startswith("route:") else text
            events.subscribe_event("E_BENCH", socket)
        await events.raise_event_and_wait("E_BENCH", two(0) if work["params"] == 2 else ten(0))
        used = await cpu_s(events.raise_event, work, lambda: not any(each.depth for each in events.statistics))
        deliveries = work["count"] * max(1, len(work["sockets"]))
        lost = sum(each.failed for each in events.statistics)
    print(json.dumps({"us": used / deliveries * 1e6, "lost": lost, "module": evframe.__file__}))


uvloop.run(main(json.loads(sys.argv[1])))
