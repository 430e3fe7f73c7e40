"""The highest rate that each transport holds for ten seconds with nothing lost: `python benchmarks/hold.py [NAME…]`.

Events are raised at a fixed rate, a hundredth of a second's worth at a time. A rate is held when
every event is delivered and, at the end of the ten seconds, no more than a tenth of a second's
worth is still on its way. The rate is lowered by a seventh until it is held.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import peers
from evframe_datagram import DatagramTransport
from evframe_flatstore import FlatstoreTransport
from evframe_kafka import KafkaTransport
from evframe_rabbitmq import RabbitmqTransport
from evframe_stream import StreamTransport
from evframe_xmlrpc import XmlrpcTransport
from limits import Limits
from paths import TWO, free_port, udp_receivers

import evframe
from evframe.cli.gateway import run_loop, set_up_collector
from evframe.config import Config, CoreOptions

SECONDS, STEP_S = 10, 0.01
Target = tuple[Any, str]


@contextlib.asynccontextmanager
async def udp(_: Limits) -> AsyncIterator[Target]:
    """Yield a UDP socket."""
    with udp_receivers(1) as ports:
        yield DatagramTransport(), f"udp:127.0.0.1:{ports[0]}"


@contextlib.asynccontextmanager
async def unix(bare: Limits) -> AsyncIterator[Target]:
    """Yield a UNIX datagram socket with a reader."""
    path = bare.fresh("held")
    with bare.sink("unix", path):
        yield DatagramTransport(), f"unix:{path}"


@contextlib.asynccontextmanager
async def tcp(bare: Limits) -> AsyncIterator[Target]:
    """Yield a TCP peer that reads."""
    port = free_port()
    with bare.sink("tcp", port):
        yield StreamTransport(), f"tcp:127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def flatstore(bare: Limits) -> AsyncIterator[Target]:
    """Yield a file."""
    yield FlatstoreTransport(), f"flatstore:{bare.fresh('lines')}"


@contextlib.asynccontextmanager
async def kafka(bare: Limits) -> AsyncIterator[Target]:
    """Yield a topic with three partitions."""
    port = bare.peer(peers.kafka)
    yield KafkaTransport(), f"kafka:127.0.0.1:{port}/{await peers.new_topic(port)}"


@contextlib.asynccontextmanager
async def rabbitmq(bare: Limits) -> AsyncIterator[Target]:
    """Yield a queue."""
    port = bare.peer(peers.rabbitmq)
    yield RabbitmqTransport(), f"rabbitmq:127.0.0.1:{port}/{await peers.new_queue(port)}"


@contextlib.asynccontextmanager
async def xmlrpc(_: Limits) -> AsyncIterator[Target]:
    """Yield a server that answers every call."""
    with peers.program("calls.py") as port:
        yield XmlrpcTransport(), f"xmlrpc:127.0.0.1:{port}:m"


Make = Callable[[Limits], contextlib.AbstractAsyncContextManager[Target]]
TARGETS: dict[str, tuple[Make, int]] = {
    "udp": (udp, 1_000_000),
    "unix": (unix, 450_000),
    "tcp": (tcp, 1_200_000),
    "flatstore": (flatstore, 900_000),
    "kafka": (kafka, 750_000),
    "rabbitmq": (rabbitmq, 75_000),
    "xmlrpc": (xmlrpc, 110_000),
}


async def is_held(make: Make, bare: Limits, rate: int) -> bool:
    """Return whether *rate* is held."""
    async with make(bare) as (plugin, socket):
        config = Config(core=CoreOptions(queue_size=rate, drain_timeout_s=1.0))
        async with evframe.EventInterface(config, plugins={"held": plugin}) as events:
            events.register_event("E_BENCH")
            subscriber = events.subscribe_event("E_BENCH", socket).subscriber
            await events.raise_event_and_wait("E_BENCH", TWO)
            raised, begin = 0, time.perf_counter()
            while (now := time.perf_counter() - begin) < SECONDS:
                for _ in range(min(int(now * rate) - raised, int(rate * STEP_S * 3))):
                    events.raise_event("E_BENCH", TWO)
                    raised += 1
                await asyncio.sleep(STEP_S / 2)
            late = subscriber.depth
            behind = rate * SECONDS - raised
            return not subscriber.failed and late <= rate / 10 and behind <= rate / 10


async def measure(names: list[str]) -> None:
    """Print the rate of each transport."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Limits(Path(folder))
        try:
            for name in names:
                make, rate = TARGETS[name]
                while not await is_held(make, bare, rate):
                    rate = rate * 6 // 7
                print(f"{name:12} {rate:10,} events/s held for {SECONDS} s, none lost", flush=True)
        finally:
            bare.close()


def main() -> int:
    """Measure the transports that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*TARGETS, []], help="transports; all without one")
    names = parser.parse_args().names or list(TARGETS)
    set_up_collector()
    run_loop(measure(names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
