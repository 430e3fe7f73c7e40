"""Measure the registry of bindings: `python benchmarks/usrloc.py [COUNT]`, a million without one.

Prints the rates of registering, refreshing, looking up, writing, reading and expiring; the bytes of
memory for each binding, all its texts included; and the longest time that one turn of the loop took
meanwhile. The garbage collector is set up as the gateway has it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evframe_usrloc import Options, Usrloc

import evframe
from evframe.cli.gateway import run_loop, set_up_collector
from evframe.testing import FakeClock, MemoryTransport

TURN = 200


class Lag:
    """The longest turn of the loop."""

    def __init__(self) -> None:
        self.most_s = self.most_busy_s = 0.0

    async def watch(self) -> None:
        """Take the time of each turn, and what this thread itself did of it."""
        last, busy = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(0)
            last, before = time.perf_counter(), last
            busy, was_busy = time.thread_time(), busy
            self.most_s = max(self.most_s, last - before)
            self.most_busy_s = max(self.most_busy_s, busy - was_busy)

    @contextmanager
    def measured(self, what: str, count: int) -> Iterator[None]:
        self.most_s = self.most_busy_s = 0.0
        begin = time.perf_counter()
        yield
        took = time.perf_counter() - begin
        print(
            f"{what:28} {count / took:12,.0f}/s {took:8.2f} s   "
            f"longest turn {self.most_s * 1e3:6.1f} ms, busy {self.most_busy_s * 1e3:6.1f} ms",
            flush=True,
        )


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def register(usrloc: Usrloc, number: int, expires_s: int) -> None:
    usrloc.register(
        f"user{number:07d}@example.com",
        f"sip:user{number:07d}@192.0.2.{number % 250}:{5060 + number % 1000};transport=udp",
        expires_s=expires_s,
        callid=f"{number:08x}-0123456789abcdef@192.0.2.{number % 250}",
        user_agent=f"Telephone {number % 50}.0",
        socket="udp:198.51.100.1:5060",
    )


async def each(count: int, work: object) -> None:
    """Call *work* for each number, some each turn of the loop."""
    for number in range(count):
        work(number)  # type: ignore[operator]
        if number % TURN == 0:
            await asyncio.sleep(0)


async def until_written(usrloc: Usrloc) -> None:
    usrloc.flush()
    while usrloc.counters()["Store"]["pending"]:
        await asyncio.sleep(0.01)


def measure_memory(count: int) -> None:
    """Print the memory of *count* bindings, before anything else was in it."""
    before = resident()
    usrloc = Usrloc()
    for number in range(count):
        register(usrloc, number, 3600 + number % 600)
    print(f"{'memory':28} {(resident() - before) / count:12,.0f} bytes for each binding", flush=True)


async def measure(count: int, path: str, *, heard: bool) -> None:
    """Print what *count* bindings take."""
    clock = FakeClock(1_800_000_000.0)
    lag = Lag()

    def interface() -> evframe.EventInterface:
        usrloc = Usrloc(Options(db_path=path, timer_interval_s=1), clock=clock)
        events = evframe.EventInterface(plugins={"usrloc": usrloc, "memory": MemoryTransport()})
        if heard:
            events.subscribe_event("E_UL_CONTACT_DELETE", "memory:a")
        return events

    async with interface() as events:
        usrloc: Usrloc = events.plugin("usrloc")
        await usrloc.ready()
        watch = asyncio.create_task(lag.watch())
        with lag.measured("register", count):
            await each(count, lambda number: register(usrloc, number, 3600 + number % 600))
        with lag.measured("write what is left", count):
            await until_written(usrloc)
        clock.advance(1800)
        with lag.measured("refresh", count):
            await each(count, lambda number: register(usrloc, number, 3600))
        with lag.measured("write what is left", count):
            await until_written(usrloc)
        with lag.measured("look up", count):
            await each(count, lambda number: usrloc.lookup(f"user{number:07d}@example.com"))
        watch.cancel()
    del usrloc, events
    gc.collect()  # not in the middle of the next measurement
    async with interface() as events:
        usrloc = events.plugin("usrloc")
        watch = asyncio.create_task(lag.watch())
        with lag.measured("read at a start", count):
            await usrloc.ready()
        clock.advance(3600)
        with lag.measured("expire, all at one second", count):
            while len(usrloc):
                await asyncio.sleep(0.001)
        with lag.measured("write what is left", count):
            await until_written(usrloc)
        watch.cancel()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--heard", action="store_true", help="with a subscriber of E_UL_CONTACT_DELETE")
    arguments = parser.parse_args()
    set_up_collector()
    measure_memory(arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        run_loop(measure(arguments.count, f"{folder}/usrloc.sqlite", heard=arguments.heard))


if __name__ == "__main__":
    main()
