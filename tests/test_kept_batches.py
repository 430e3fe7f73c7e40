"""Batches of subscribers whose events outlive the process: the transport knows, and few are under way."""

import asyncio

import evframe
from evframe.config import Config, CoreOptions
from evframe.delivery.limits import Limits
from evframe.delivery.queues import MemoryQueue
from evframe.plugin import NO_POLICY, Policy
from evframe.testing import MemoryTransport, until


class KeptQueue(MemoryQueue):
    """Says that its events outlive the process, as one on disk does."""

    is_kept = is_own = True

    def ids(self, number):
        return [f"batch {number}"]


class Keeper:
    """Brings the queue of each subscriber."""

    kind = "extension"
    policy_keys = frozenset({"keep"})

    @evframe.hookimpl
    def open_queue(self, room):
        return KeptQueue(room)


def compose(memory, *others):
    plugins = {"memory": memory} | {type(other).__name__.lower(): other for other in others}
    events = evframe.EventInterface(Config(core=CoreOptions(queue_size=100_000, drain_timeout_s=0.05)), plugins=plugins)
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:peer", policy=Policy(keep="disk") if others else NO_POLICY)
    return events


async def test_a_transport_knows_whether_the_events_are_kept():
    """A batch says whether its events outlive the process, and what names them then."""
    for others, expected in (((), (False, None)), ((Keeper(),), (True, 1))):
        memory = MemoryTransport()
        seen = []

        def look(batch, seen=seen):
            if batch.events:
                seen.append((batch.is_kept, batch.ids))
            return True

        memory.when("peer", look)
        async with compose(memory, *others) as events:
            events.raise_event("E_A", [1])
            await until(lambda seen=seen: seen)
        is_kept, ids = seen[-1]
        assert (is_kept, ids and len(ids)) == expected


async def test_few_events_of_a_kept_subscriber_are_under_way():
    """A transport that would take any number has 8,192 events of a kept subscriber under way, and a batch."""
    memory = MemoryTransport()
    memory.limits = Limits(in_flight=1_000_000, batch_events=1000)
    under_way, hanging = [], []

    def hang(batch):
        under_way.extend(batch.events)
        hanging.append(asyncio.get_running_loop().create_future())
        return hanging[-1]

    memory.when("peer", hang)
    async with compose(memory, Keeper()) as events:
        for number in range(50_000):
            events.raise_event("E_A", [number])
        await until(lambda: len(under_way) >= 8192)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(under_way) == 9000
        memory.when("peer", None)
        for future in hanging:
            future.set_result(None)
        await until(lambda: not events.statistics[0].depth)
