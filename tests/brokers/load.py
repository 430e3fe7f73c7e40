"""Loads of numbered events that go on while a broker, or the way to it, fails.

EVFRAME_FAULT_EVENTS is how many there are, 6,000 without it; `.ci/long faults` has 50,000, and with them the full rate.
"""

import asyncio
import os
import signal
from collections import Counter
from contextlib import asynccontextmanager

import evframe
from evframe.testing import until

COUNT = int(os.environ.get("EVFRAME_FAULT_EVENTS", "6000"))
RATE = min(2000, COUNT // 6)
"""How many events a second are raised where they are to last for some time."""
LIMIT_S = 60 + COUNT // 100
"""How long their delivery may take, also on a machine with other work."""
FAULTY = 2000  # events that are raised while a fault lasts, where there are as many


class Tries:
    """A plugin that counts how often each numbered event is handed to a transport."""

    def __init__(self):
        self.of = Counter()

    @evframe.hookimpl(wrapper=True)
    def deliver(self, socket, batch):
        self.of.update(event[1] for event in batch.events)
        return (yield)

    @property
    def again(self):
        """How many of these were not the first of their event."""
        return self.of.total() - len(self.of)

    def assert_explain(self, numbers, breaks=0):
        """Fail if an event has arrived more often than it was tried, or the client may have by itself after *breaks*."""
        surplus = {
            number: times for number, times in Counter(numbers).items() if times > max(1, self.of[number]) + breaks
        }
        assert not surplus, f"{len(surplus)} arrived more often than they were tried, such as {list(surplus)[:10]}"


class WayFaults:
    """What happens between us and a broker, for as long as the context lasts."""

    def __init__(self, proxy, tries):
        self.proxy, self.tries = proxy, tries

    @asynccontextmanager
    async def refuse(self):
        """Have connections end, and accept no new ones."""
        self.proxy.refuse()
        self.proxy.reset()
        yield
        await self.proxy.open()

    @asynccontextmanager
    async def reset(self):
        """Have connections end."""
        self.proxy.reset()
        yield

    @asynccontextmanager
    async def cut(self):
        """Have a connection end within what is sent."""
        self.proxy.cut_after = 20_000
        yield
        await until(lambda: self.proxy.cut_after is None)

    @asynccontextmanager
    async def delay(self):
        """Have everything take longer."""
        self.proxy.delay_s = 0.01
        yield
        self.proxy.delay_s = 0.0

    @asynccontextmanager
    async def hold(self):
        """Have nothing pass, as in a black hole, until events have come back."""
        before = self.tries.again
        self.proxy.hold()
        yield
        await until(lambda: self.tries.again > before)
        self.proxy.release()


class BrokerFaults:
    """What happens to a broker itself, for as long as the context lasts."""

    def __init__(self, broker, tries):
        self.broker, self.tries = broker, tries

    @asynccontextmanager
    async def stop(self):
        """Tell it to end, and start it again."""
        await asyncio.to_thread(self.broker.stop)
        yield
        await asyncio.to_thread(self.broker.start)

    @asynccontextmanager
    async def kill(self):
        """End it as a crash would, and start it again."""
        await asyncio.to_thread(self.broker.stop, signal.SIGKILL)
        yield
        await asyncio.to_thread(self.broker.start)

    @asynccontextmanager
    async def hang(self):
        """Have its process stand still until events have come back: the kernel accepts connections, nobody speaks."""
        before = self.tries.again
        self.broker.signal(signal.SIGSTOP)
        try:
            yield
            await until(lambda: self.tries.again > before)
        finally:
            self.broker.signal(signal.SIGCONT)


async def load(events, fault, times, count=COUNT):
    """Raise *count* events; *times* times on the way, *fault* holds while some of them are raised."""
    faulty = min(FAULTY, count // times // 2)
    for part in range(times):
        first, end = count * part // times, count * (part + 1) // times
        middle = (first + end) // 2
        await _raise(events, range(first, middle))
        async with fault():
            await _raise(events, range(middle, middle + faulty))
        await _raise(events, range(middle + faulty, end))


async def _raise(events, numbers):
    for number in numbers:
        events.raise_event("E_TEST", [number])
        if number % 500 == 0:
            await asyncio.sleep(0.002)


async def outcomes(events, numbers):
    """Raise an event for each of *numbers*, and return the reason of each, None for those that are delivered."""
    reports = [
        asyncio.create_task(events.raise_event_and_wait("E_TEST", [number], timeout_s=None)) for number in numbers
    ]
    return {number: (await report)[0].reason for number, report in zip(numbers, reports, strict=True)}
