"""Policies of subscribers whose events wait on disk."""

import asyncio
import time

from evframe_journal import JournalPlugin
from evframe_journal import Options as JournalOptions
from evframe_policies import PoliciesPlugin

import evframe
from evframe.config import CoreOptions
from evframe.plugin import Policy
from evframe.testing import FakeClock, MemoryTransport, until

CORE = CoreOptions(queue_size=20, drain_timeout_s=0.05)


class Kept:
    """An interface with a journal, whose policies follow a clock that the test advances."""

    def __init__(self, folder, now=None):
        self.clock = FakeClock(now or time.monotonic())
        self.memory = MemoryTransport()
        self.policies = PoliciesPlugin(clock=self.clock)
        journal = JournalPlugin(JournalOptions(path=str(folder / "journal")))
        plugins = {"memory": self.memory, "journal": journal, "policies": self.policies}
        self.events = evframe.EventInterface(evframe.Config(core=CORE), plugins=plugins)
        self.events.register_event("E_A")

    def subscribe(self, **keys):
        self.events.subscribe_event("E_A", "memory:a", policy=Policy(keep="disk", **keys))
        (self.subscriber,) = self.events.event("E_A").leases

    def raise_(self, numbers):
        for number in numbers:
            self.events.raise_event("E_A", {"n": number})

    @property
    def got(self):
        return [event["n"] for event in self.memory.delivered.get("a", [])]

    async def advance(self, seconds):
        self.clock.advance(seconds)
        self.policies._limiter._ring()
        await asyncio.sleep(0.001)


async def test_what_is_on_disk_comes_at_the_rate(tmp_path):
    """Events that were spilled keep their order, and are sent no faster than the rate."""
    kept = Kept(tmp_path)
    kept.subscribe(rate=100.0, burst=10)
    async with kept.events:
        kept.raise_(range(200))
        counts = []
        while kept.subscriber.depth:
            await kept.advance(0.05)
            counts.append(len(kept.got))
        assert kept.got == list(range(200))
        assert all(count <= 10 + 5.1 * steps for steps, count in enumerate(counts, 1))


async def test_what_waits_on_disk_expires(tmp_path):
    """An event that was on disk for too long fails as `expired` when it comes into memory, also after a restart."""
    first = Kept(tmp_path)
    first.subscribe(rate=0.001, burst=1, max_age_s=1000.0)
    async with first.events:
        first.raise_(range(100))
        await until(lambda: first.got == [0])
    assert first.subscriber.reasons is None
    second = Kept(tmp_path, time.monotonic() + 2000.0)
    second.subscribe(max_age_s=1000.0)
    async with second.events:
        await until(lambda: not second.subscriber.depth)
    assert second.got == []
    assert second.subscriber.reasons == {"expired": 99}


async def test_a_kept_subscriber_gets_a_rate_later(tmp_path):
    """A rate that comes with a refresh holds for a queue on disk that is in use."""
    kept = Kept(tmp_path)
    kept.subscribe()
    async with kept.events:
        kept.raise_([0])
        await until(lambda: kept.got == [0])
        kept.subscribe(rate=1.0, burst=1)
        kept.raise_([1, 2])
        await until(lambda: kept.got == [0, 1])
        await kept.advance(0.5)
        assert kept.got == [0, 1]
        await kept.advance(0.6)
        await until(lambda: kept.got == [0, 1, 2])
