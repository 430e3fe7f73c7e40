"""Many subscriptions: small, and in linear time.

EVFRAME_SUBSCRIPTIONS is how many there are, 5,000 without it: a twentieth of 100,000 on a twentieth of the events, so
that every table is as full, and each subscription costs as much. `.ci/long subscriptions` has 100,000.
"""

import json
import os
import sys
import time
import tracemalloc
from collections import Counter
from contextlib import contextmanager

import pytest
from evframe_datagram import DatagramTransport
from evframe_mi import Management
from evframe_mi.testing import management
from evframe_state import LeaseKeeper
from evframe_state import Options as StateOptions

import evframe
from evframe.testing import FakeClock

COUNT = int(os.environ.get("EVFRAME_SUBSCRIPTIONS", "5000"))
LIMIT_S = 120 + COUNT // 100
EVENTS = COUNT // 100


def subscribe(events, count):
    for number in range(count):
        address = f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        events.subscribe_event(f"E_{number % EVENTS}", f"udp:{address}:8081", 60)


def listed(events):
    """Return how many subscribers the management interface lists."""
    answer = management(events).handle(b'{"jsonrpc":"2.0","id":1,"method":"subscribers_list"}')
    return sum(len(event["Subscribers"]) for event in json.loads(answer)["result"]["Events"])


def compose(clock=FakeClock(), state_path=None):
    """Return an interface with the events; its leases end when the clock says so, however slow the machine is."""
    plugins = {"datagram": DatagramTransport(), "mi": Management(), "state": LeaseKeeper(StateOptions(state_path))}
    events = evframe.EventInterface(plugins=plugins, clock=clock)
    for number in range(EVENTS):
        events.register_event(f"E_{number}")
    return events


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kept", [False, True])
async def test_memory_of_a_subscription(tmp_path, kept):
    """Subscriptions of as many sockets, 100 on each event, cost at most 1 KiB each, those kept in a file too."""
    events = compose(state_path=str(tmp_path / "leases") if kept else None)
    async with events:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            subscribe(events, COUNT)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(events.subscriptions) == COUNT
        assert (after - before) / COUNT <= 1024


async def work(count, state_path, measure):
    """Return what it takes to make, to list twice and to expire *count* subscriptions, each as *measure* says."""
    clock, taken = FakeClock(), []
    async with compose(clock, state_path) as events:

        def take(step, expected):
            with measure() as measured:
                assert step() == expected
            taken.append(measured())

        take(lambda: subscribe(events, count), None)
        take(lambda: len(events.subscriptions), count)
        take(lambda: listed(events), count)
        clock.advance(61.0)
        take(lambda: listed(events), 0)
    return taken


@contextmanager
def calls():
    """Yield what counts the functions that are called in the meantime."""
    counted = Counter()

    def count(_, event, __):
        counted[event] += 1

    sys.setprofile(count)
    try:
        yield lambda: counted["call"] + counted["c_call"]
    finally:
        sys.setprofile(None)


@contextmanager
def seconds():
    """Yield what counts the seconds of the processor in the meantime."""
    began = time.process_time()
    ended = []
    yield lambda: ended[0] - began
    ended.append(time.process_time())


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kept", [False, True])
async def test_linear_work(tmp_path, kept):
    """Four times the subscriptions take four times the calls of functions to make, to list and to expire."""

    async def once(count):
        return await work(count, str(tmp_path / str(count)) if kept else None, calls)

    await once(EVENTS)
    few, many = await once(COUNT // 8), await once(COUNT // 2)

    for one, four in zip(few, many, strict=True):
        assert four < 5 * one + 1000, (few, many)


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kept", [False, True])
async def test_linear_time(tmp_path, kept):
    """Four times the subscriptions take about four times as long to make, to list and to expire."""

    async def best_of_three(count):
        places = [str(tmp_path / f"{count}-{index}") if kept else None for index in range(3)]
        steps = [await work(count, place, seconds) for place in places]
        return [min(times) for times in zip(*steps, strict=True)]

    await work(COUNT // 20, None, seconds)
    small, large = await best_of_three(COUNT // 10), await best_of_three(COUNT * 4 // 10)

    for few, many in zip(small, large, strict=True):
        assert many < 10 * few + 0.01, (small, large)  # quadratic work would make it 16
