"""A peer that was away, over real sockets: what it gets when it is back, and what a subscriber without a policy pays."""

import asyncio
import gc
import re
import socket
import time
from contextlib import aclosing

import pytest
from call_counts import count_calls
from evframe_cesql import CesqlPlugin
from evframe_datagram import DatagramTransport
from evframe_policies import PoliciesPlugin
from evframe_stream import StreamTransport
from stream_servers import StreamServer

import evframe
from evframe.delivery.subscriber import State
from evframe.plugin import Policy
from evframe.testing import FakeClock, MemoryTransport, until

STEP_S = 0.05


class Receiver(StreamServer):
    """A TCP peer that listens when the test says so, and notes which events have come."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))  # without listening, connections are refused
        super().__init__(self.serve, sock=self.socket)
        self.text = f"tcp:127.0.0.1:{self.socket.getsockname()[1]}"
        self.numbers = []
        self.rest = b""

    async def serve(self, reader, _):
        while data := await reader.read(65536):
            data = self.rest + data
            end = data.rfind(b"}") + 1
            self.rest = data[end:]
            self.numbers += map(int, re.findall(rb'"n":([0-9]+)', data[:end]))

    async def aclose(self):
        """End when the connection of the subscriber has ended."""
        await self.ended()
        await self.close()
        self.socket.close()


class Outage:
    """An interface with one TCP subscriber that is away at first."""

    def __init__(self, **keys):
        self.clock = FakeClock(time.monotonic())
        self.policies = PoliciesPlugin(clock=self.clock)
        plugins = {"stream": StreamTransport(), "policies": self.policies, "cesql": CesqlPlugin()}
        self.events = evframe.EventInterface(plugins=plugins)
        self.events.register_event("E_A")
        self.receiver = Receiver()
        self.events.subscribe_event("E_A", self.receiver.text, policy=Policy(**keys))
        (self.subscriber,) = self.events.event("E_A").leases

    def raise_(self, numbers):
        definition = self.events.event("E_A")
        for number in numbers:
            self.events.raise_prepared(definition.snapshot({"n": number}, self.clock.now))

    async def step(self):
        """Advance the clock, and wait until what may be sent has arrived."""
        self.clock.advance(STEP_S)
        self.policies._limiter._ring()
        await until(lambda: not self.subscriber.in_flight and (self.is_away or not len(self.subscriber.queue)))
        await until(lambda: len(self.receiver.numbers) == self.subscriber.delivered)

    @property
    def is_away(self):
        return self.subscriber.state is State.AWAY

    async def arrivals(self):
        """Return when how many events had arrived, from the first one to the last."""
        await until(lambda: self.subscriber.attempts)
        await self.receiver.open()
        found = []
        while self.subscriber.depth:
            await until(lambda: not self.is_away)  # the next attempt comes at its time
            await self.step()
            if self.receiver.numbers:
                found.append((self.clock.now, len(self.receiver.numbers)))
        return found


async def test_after_an_outage_the_receiver_sees_no_more_than_the_rate():
    """With rate = 2000, what has waited comes with at most 2,000 events and the burst in any second, in order."""
    outage = Outage(rate=2000.0, burst=500)
    async with aclosing(outage.receiver), outage.events:
        for second in range(6):
            outage.raise_(range(second * 2000, (second + 1) * 2000))
            await asyncio.sleep(0)
        arrivals = await outage.arrivals()
        assert outage.receiver.numbers == list(range(12_000))
        for index, (at, count) in enumerate(arrivals):
            earlier = [before for when, before in arrivals[:index] if when < at - 1.0 - 1e-6]
            assert count - (earlier[-1] if earlier else 0) <= 2000 * (1.0 + STEP_S) + 500
        assert len(arrivals) * STEP_S <= 12_000 / 2000 + 1.0  # and no slower


async def test_after_an_outage_nothing_older_than_the_age_arrives():
    """With max_age_s = 10, the receiver sees the events of the last ten seconds alone."""
    outage = Outage(max_age_s=10.0)
    async with aclosing(outage.receiver), outage.events:
        for second in range(30):
            outage.clock.advance(0.5)
            outage.raise_(range(second * 100, second * 100 + 100))
            outage.clock.advance(0.5)
        await outage.arrivals()
        assert outage.receiver.numbers == list(range(2000, 3000))
        assert outage.subscriber.reasons == {"expired": 2000}


@pytest.fixture
def _no_collector():
    """Have the collector, which calls functions of others, run at no moment of a count."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def raise_many(events):
    for number in range(1000):
        events.raise_event("E_A", {"n": number})


async def raised_and_delivered(plugins):
    """Return how many functions run for 1,000 events to a subscriber without a policy: in the raises, and after."""
    memory = MemoryTransport()
    events = evframe.EventInterface(plugins={"memory": memory, "datagram": DatagramTransport(), **plugins})
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for _ in range(10):
            await asyncio.sleep(0)
        raised, _ = count_calls(raise_many, events)
        delivered, _ = count_calls(events._roster.scheduler._flush)
        assert len(memory.delivered["a"]) == 1000
        return raised, delivered


@pytest.mark.usefixtures("_no_collector")
async def test_a_subscriber_without_a_policy_pays_nothing():
    """An event of a subscriber without a policy calls the same functions with the plugins as without them."""
    without = await raised_and_delivered({})
    with_them = await raised_and_delivered({"policies": PoliciesPlugin(), "cesql": CesqlPlugin()})
    assert with_them == without


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("count", [1, 2])
async def test_with_all_plugins_loaded_a_raise_calls_no_more_functions(count):
    """Of all installed plugins, none adds work to the raise of an event that has no policy."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("0.0.0.0", 0))
    port = receiver.getsockname()[1]
    counts = []
    for plugins in ({"datagram": DatagramTransport()}, None):
        events = evframe.EventInterface(plugins=plugins)
        events.register_event("E_A")
        for number in range(count):
            events.subscribe_event("E_A", f"udp:127.0.0.{number + 1}:{port}")
        async with events:
            for _ in range(10):
                await asyncio.sleep(0)
            counts.append(count_calls(raise_many, events)[0])
    receiver.close()
    assert counts[0] == counts[1]
