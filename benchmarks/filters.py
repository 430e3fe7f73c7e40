"""What filters cost an event: one, a long one, and ten thousand with and without an index, alone and as leases.

usage: python benchmarks/filters.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from evframe_cesql import CesqlPlugin, Filter, FilterError, Index, compile_filter
from evframe_policies import PoliciesPlugin

import evframe
from evframe.plugin import Policy
from evframe.testing import MemoryTransport

EVENT = {"ip": "192.168.0.7", "cseq": 1234, "callid": "call-5", "method": "INVITE", "code": 200, "tag": "a1"}
TEXT = "ip LIKE '192.168.%' AND cseq > 1000"
MANY = 10_000
# Texts within all bounds that take long, for parameters of 128 characters.
SLOW = [
    " AND ".join(["digits != 1"] * 50),
    "digits" + " + digits" * 46 + " > 1",
    " XOR ".join(["truth"] * 87),
    "n IN (" + ", ".join(["digits"] * 67) + ")",
    " AND ".join(["UPPER(greek) != long"] * 9),
    " OR ".join(["long LIKE '%aaaaaaaaaaaaaaab%'"] * 25),
    " OR ".join(["long LIKE '%b" + "a" * 59 + "%'"] * 14),
    " OR ".join(["long LIKE '%a_b%'"] * 11),
    " OR ".join(["long LIKE '" + "a_" * 63 + "b%'"] * 4),
]
LONG = {"long": "a" * 128, "greek": "\u0390" * 128, "digits": "9" * 17, "n": 5, "truth": "true"}


def fastest(function: Callable[[], Any], calls: int, rounds: int = 50) -> float:
    """Return the microseconds of a call, in the fastest round."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            function()
        best = min(best, time.perf_counter() - began)
    return best / calls * 1e6


def one_by_one(filters: list[Filter]) -> list[Filter]:
    """Return the filters that the event passes."""
    return [each for each in filters if each.matches(EVENT, "E_TEST")]


def leases(count: int) -> evframe.EventInterface:
    """Return an interface with an event that so many leases have, each with a filter of an equality."""
    plugins = {"memory": MemoryTransport(), "cesql": CesqlPlugin(), "policies": PoliciesPlugin()}
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_TEST")
    for number in range(count):
        policy = Policy(where=f"callid = 'other-{number}'")
        events.subscribe_event("E_TEST", f"memory:{number}", policy=policy)
    return events


def raised(events: evframe.EventInterface) -> float:
    """Return the microseconds of a raise that no lease gets."""
    return fastest(lambda: events.raise_event("E_TEST", EVENT), 2_000)


def selected(events: evframe.EventInterface) -> float:
    """Return the microseconds in which it is found that no lease gets an event."""
    channel = events.event("E_TEST")
    event = channel.snapshot(EVENT, 0.0)
    assert channel.select is not None
    return fastest(lambda: channel.select(event), 2_000)  # type: ignore[misc]


def main() -> None:
    """Print the microseconds of each row."""
    single = compile_filter(TEXT)
    glob = fastest(lambda: fnmatchcase(EVENT["ip"], "192.168.*"), 2_000)  # type: ignore[arg-type]
    index: Index[int] = Index()
    filters = [compile_filter(f"callid = 'call-{number}'") for number in range(MANY)]
    for number, each in enumerate(filters):
        index.add(number, each)
    slow = [compile_filter(text) for text in SLOW]
    rows = {
        "a glob of fnmatch": glob,
        TEXT: fastest(lambda: single.matches(EVENT, "E_TEST"), 2_000),
        "the same, without the parameter": fastest(lambda: single.matches({}, "E_TEST"), 2_000),
        f"{MANY} equalities, one by one": fastest(lambda: one_by_one(filters), 1, 10),
        f"{MANY} equalities, in an index": fastest(lambda: index.matching(EVENT, "E_TEST"), 2_000),
        f"the selection among {MANY} leases with equalities": selected(leases(MANY)),
        "a raise without a lease": raised(leases(0)),
        "a raise for one lease with an equality, which does not get it": raised(leases(1)),
        f"a raise for {MANY} of these": raised(leases(MANY)),
        "the slowest of the slow texts": max(
            fastest(lambda each=each: each.matches(LONG, "E_TEST"), 20) for each in slow
        ),  # type: ignore[misc]
        "to compile the slowest of them": max(fastest(lambda text=text: compile_filter(text), 2) for text in SLOW),  # type: ignore[misc]
        "to refuse the slowest pattern": fastest(lambda: refuse("x LIKE '" + "%_" * 2040 + "'"), 2),
    }
    for name, value in rows.items():
        print(f"{value:10.2f} µs {value / glob:9.1f} globs  {name}")


def refuse(text: str) -> None:
    """Compile a text that is beyond a bound."""
    try:
        compile_filter(text)
    except FilterError:
        return
    raise AssertionError


if __name__ == "__main__":
    main()
