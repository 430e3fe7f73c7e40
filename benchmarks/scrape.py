"""A scrape of many subscribers: how long it takes, how late events are raised meanwhile, and what metrics cost a raise.

usage: python benchmarks/scrape.py [subscribers] [seconds of each part]

The client is another process. The lines have the wall time of a scrape as the client sees it,
and how late a timer raises an event every two milliseconds while scrapes follow one another: in wall time, which has
what other processes take of the processors, too, and what of it can be this process's own, by its processor time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection
from urllib.request import Request, urlopen

from beside import compare
from evframe_metrics import Metrics, Options

import evframe
from evframe.cli.gateway import run_loop, set_up_collector
from evframe.testing import MemoryTransport

EVERY_S = 0.002
EVENTS = 100


def client(port: int, pipe: Connection) -> None:
    """Scrape until a message comes, and send the seconds and the bytes of each scrape."""
    found: list[tuple[float, int]] = []
    request = Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": "application/openmetrics-text"})
    while not pipe.poll(0.05):
        began = time.perf_counter()
        with urlopen(request, timeout=30) as response:  # noqa: S310 as above
            size = len(response.read())
        found.append((time.perf_counter() - began, size))
    pipe.send(found)


async def raise_for(events: evframe.EventInterface, seconds: float) -> str:
    """Raise an event every two milliseconds; return by how many milliseconds they were late."""
    late, own = [], []
    due = time.monotonic()
    end = due + seconds
    while due < end:
        due += EVERY_S
        used = time.thread_time()
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        events.raise_event("E_TIMER", {"number": len(late)})
        late.append((time.monotonic() - due) * 1000)
        own.append(min(late[-1], (time.thread_time() - used) * 1000))
        due = max(due, time.monotonic() - EVERY_S)
    return (
        f"raises late p99 {quantile(late, 0.99):.2f} ms, longest {max(late):.2f} ms;"
        f" own p99 {quantile(own, 0.99):.2f} ms, longest {max(own):.2f} ms"
    )


def quantile(values: list[float], share: float) -> float:
    """Return the value that a share of *values* is not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def measure(subscribers: int, seconds: float, *, detail: bool) -> None:
    """Print two lines: without scrapes, and with scrapes one after the other."""
    metrics = Metrics(Options(bind="127.0.0.1:0", detail=detail, max_series=5 * subscribers))
    events = evframe.EventInterface(plugins={"memory": MemoryTransport(), "metrics": metrics})
    events.register_event("E_TIMER")
    for number in range(EVENTS):
        events.register_event(f"E_{number}")
    for number in range(subscribers):
        events.subscribe_event(f"E_{number % EVENTS}", f"memory:subscriber{number:05}at10x0x0x1port5060")
    async with events:
        for number in range(EVENTS):
            events.raise_event(f"E_{number}", {"number": number})
        await asyncio.sleep(1)
        set_up_collector()
        name = "detailed" if detail else "aggregated"
        late = await raise_for(events, seconds)
        print(f"{name}, no scrape: {late}")
        near, far = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=client, args=(metrics.address[1], far))
        process.start()
        await asyncio.sleep(2)  # its start takes a processor
        late = await raise_for(events, seconds)
        near.send(None)
        found = await asyncio.to_thread(near.recv)
        await asyncio.to_thread(process.join)
        times = [each * 1000 for each, _ in found]
        print(
            f"{name}, {len(found)} scrapes of {found[-1][1] / 1e6:.2f} MB: median {statistics.median(times):.1f} ms,"
            f" longest {max(times):.1f} ms; {late}"
        )


async def main(subscribers: int, seconds: float) -> None:
    """Print all lines."""
    for in_a_turn in (1000, 50, 1):
        await compare(in_a_turn, "metrics", lambda: Metrics(Options(bind="127.0.0.1:0")))
    for detail in (False, True):
        await measure(subscribers, seconds, detail=detail)


if __name__ == "__main__":
    given = [float(text) for text in sys.argv[1:]] or [10_000, 10]
    run_loop(main(int(given[0]), given[1]))
