"""Many subscriptions: small, and in linear time."""

import time
import tracemalloc

import pytest
from evframe_datagram import DatagramTransport

import evframe

EVENTS = 1000


def subscribe(events, count):
    for number in range(count):
        address = f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        events.subscribe_event(f"E_{number % EVENTS}", f"udp:{address}:8081", 60)


def compose(clock=time.monotonic):
    events = evframe.EventInterface(plugins={"datagram": DatagramTransport()}, clock=clock)
    for number in range(EVENTS):
        events.register_event(f"E_{number}")
    return events


@pytest.mark.timeout(120)
def test_memory_of_a_subscription():
    """100,000 subscriptions of as many sockets on 1,000 events cost at most 1 KiB each."""
    events = compose()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        subscribe(events, 100_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(events.subscriptions) == 100_000
    assert (after - before) / 100_000 <= 1024


@pytest.mark.timeout(120)
def test_linear_time():
    """Four times the subscriptions take about four times as long to make, to list and to expire."""

    def work(count):
        now = [0.0]
        events = compose(lambda: now[0])
        start = time.process_time()
        subscribe(events, count)
        assert sum(1 for _ in events.subscriptions) == count
        now[0] = 61.0
        assert events.subscriptions == []
        return time.process_time() - start

    work(5_000)
    small = min(work(10_000) for _ in range(3))
    large = min(work(40_000) for _ in range(3))

    assert large / small < 8  # quadratic work would make it 16
