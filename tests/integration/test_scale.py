"""Many subscriptions: small, and in linear time."""

import json
import time
import tracemalloc

import pytest
from evframe_datagram import DatagramTransport

import evframe
from evframe.config import Config, CoreOptions

EVENTS = 1000


def subscribe(events, count):
    for number in range(count):
        address = f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        events.subscribe_event(f"E_{number % EVENTS}", f"udp:{address}:8081", 60)


def listed(events):
    """Return how many subscribers the management interface lists."""
    answer = events.management.handle(b'{"jsonrpc":"2.0","id":1,"method":"subscribers_list"}')
    return sum(len(event["Subscribers"]) for event in json.loads(answer)["result"]["Events"])


def compose(clock=time.monotonic, state_path=None):
    config = Config(core=CoreOptions(state_path=state_path))
    events = evframe.EventInterface(config, plugins={"datagram": DatagramTransport()}, clock=clock)
    for number in range(EVENTS):
        events.register_event(f"E_{number}")
    return events


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kept", [False, True])
async def test_memory_of_a_subscription(tmp_path, kept):
    """100,000 subscriptions of as many sockets on 1,000 events cost at most 1 KiB each, those kept in a file too."""
    events = compose(state_path=str(tmp_path / "leases") if kept else None)
    async with events:
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
@pytest.mark.parametrize("kept", [False, True])
async def test_linear_time(tmp_path, kept):
    """Four times the subscriptions take about four times as long to make, to list and to expire."""

    async def work(count):
        now = [0.0]
        steps = []
        async with compose(lambda: now[0], str(tmp_path / str(time.monotonic())) if kept else None) as events:

            def take(step, expected):
                start = time.process_time()
                assert step() == expected
                steps.append(time.process_time() - start)

            take(lambda: subscribe(events, count), None)
            take(lambda: len(events.subscriptions), count)
            take(lambda: listed(events), count)
            now[0] = 61.0
            take(lambda: listed(events), 0)
        return steps

    await work(5_000)
    small = [min(steps) for steps in zip(*[await work(10_000) for _ in range(3)], strict=True)]
    large = [min(steps) for steps in zip(*[await work(40_000) for _ in range(3)], strict=True)]

    for few, many in zip(small, large, strict=True):
        assert many / few < 10, (small, large)  # quadratic work would make it 16
