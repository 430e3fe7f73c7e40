"""What is measured of the sources: how much they can be asked."""

from __future__ import annotations

import logging
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable, Iterator

from evframe_pike import Pike
from limits import Limits
from paths import Measurement, Path_

CHECKS = 1_000_000


def ask(pike: Pike, addresses: Iterable[object]) -> float:
    """Return checks a second of processor time: one core asks."""
    check = pike.check
    start = time.process_time()
    for address in addresses:
        check(address)  # type: ignore[arg-type]
    return CHECKS / (time.process_time() - start)


def one() -> Iterator[str]:
    """Yield one address again and again."""
    return iter(["192.0.2.1"] * CHECKS)


def many() -> Iterator[str]:
    """Yield the same ten thousand addresses, one after the other."""
    addresses = [f"10.{number // 200}.0.{number % 200}" for number in range(10_000)]
    return (address for _ in range(CHECKS // 10_000) for address in addresses)


def attack() -> Iterator[bytes]:
    """Yield a million addresses, each once."""
    return ((number * 2_654_435_761 % 2**32).to_bytes(4) for number in range(CHECKS))


def pike(addresses: Callable[[], Iterable[object]]) -> Callable[[Limits], Awaitable[Measurement]]:
    """Return the measurement of checks."""

    async def run(_: Limits) -> Measurement:
        logging.getLogger("evframe.pike").setLevel(logging.CRITICAL)
        return Measurement(ask(Pike(), addresses()))

    return run


async def pike_memory(_: Limits) -> Measurement:
    """Measure the bytes that an attack from a million addresses has left behind."""
    source = Pike()
    tracemalloc.start()
    ask(source, attack())
    used, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Measurement(used)


PATHS = (
    Path_("pike, one address", "≥ 500,000/s", pike(one)),
    Path_("pike, 10,000 addresses", "≥ 500,000/s", pike(many)),
    Path_("pike, 1,000,000 addresses", "≥ 500,000/s", pike(attack)),
    Path_("pike, bytes after that", "≤ 60,000,000", pike_memory),
)
