"""The bound of the bytes that wait for a subscriber."""

import asyncio
from collections import deque

import pytest

import evframe
from evframe.config import Config, CoreOptions
from evframe.delivery.queues import ByteQueue, MemoryQueue, bounded
from evframe.events.event import EventRegistry
from evframe.testing import MemoryTransport

SIZE = len(b'{"jsonrpc":"2.0","method":"E","params":["xxxxxxxxxx"]}')


def compose(memory, **core):
    events = evframe.EventInterface(Config(core=CoreOptions(**core)), plugins={"memory": memory})
    events.register_event("E")
    return events


def values(memory):
    return [event.params[0] for event in memory.delivered["a"]]


@pytest.mark.parametrize(("overflow", "kept"), [("drop_newest", range(4)), ("drop_oldest", range(6, 10))])
async def test_as_many_events_wait_as_their_bytes_permit(overflow, kept):
    """With ten events raised at once those wait that fit in the bytes; the policy says which, the others are counted."""
    memory = MemoryTransport()
    async with compose(memory, queue_bytes=4 * SIZE, overflow=overflow) as events:
        events.subscribe_event("E", "memory:a")
        for number in range(10):
            events.raise_event("E", [f"{number:010}"])
        assert events.statistics[0].depth == 4
    assert list(map(int, values(memory))) == list(kept)
    assert (events.statistics[0].raised, events.statistics[0].reasons) == (10, {"queue_full": 6})


async def test_a_large_event_takes_the_place_of_several():
    """With `drop_oldest` a large event drops as many as its bytes need; one that is too large alone waits alone."""
    memory = MemoryTransport()
    async with compose(memory, queue_bytes=4 * SIZE, overflow="drop_oldest") as events:
        events.subscribe_event("E", "memory:a")
        for text in ("a" * 10, "b" * 10, "c" * 10, "d" * (10 + SIZE)):
            events.raise_event("E", [text])
        assert events.statistics[0].depth == 3
        events.raise_event("E", ["e" * 1000])
        assert events.statistics[0].depth == 1
    assert values(memory) == ["e" * 1000]


async def test_a_large_event_alone_waits_and_what_is_behind_it_does_not():
    """With `drop_newest` an event that is larger than the bound is queued in an empty queue, and nothing behind it."""
    memory = MemoryTransport()
    async with compose(memory, queue_bytes=1) as events:
        events.subscribe_event("E", "memory:a")
        for text in ("a", "b"):
            events.raise_event("E", [text])
    assert values(memory) == ["a"]


async def test_the_number_bounds_as_well():
    """The bound of events holds beside that of bytes."""
    memory = MemoryTransport()
    async with compose(memory, queue_bytes=10**6, queue_size=3) as events:
        events.subscribe_event("E", "memory:a")
        for number in range(5):
            events.raise_event("E", [number])
    assert values(memory) == [0, 1, 2]


async def test_raises_wait_for_room():
    """With `block` an awaited raise waits until its bytes fit; none is lost."""
    memory = MemoryTransport()
    async with compose(memory, queue_bytes=2 * SIZE, overflow="block") as events, asyncio.timeout(30):
        events.subscribe_event("E", "memory:a")
        raises = [events.raise_event_and_wait("E", [f"{number:010}"]) for number in range(20)]
        reports = await asyncio.gather(*raises)
    assert all(report[0].delivered for report in reports)
    assert sorted(map(int, values(memory))) == list(range(20))


def test_the_sum_is_that_of_the_payloads():
    """The sum follows every change of the queue, and is that of what waits."""
    definition = EventRegistry().register("E")
    events = [definition.snapshot(["x" * number], 0.0) for number in range(6)]
    queue = ByteQueue(10, 1000)
    for event in events[:4]:
        queue.append(event)
    assert queue.take(1, 0) == ([events[0]], {})
    queue.give_back(0, events[4:], {})
    assert list(queue) == [*events[4:], *events[1:4]]
    assert queue.bytes == sum(len(event.payload) for event in queue)
    assert len(queue.take(10, 0)[0]) == 5
    assert queue.bytes == 0


async def test_a_reload_has_another_bound():
    """A queue gets a bound, another one and none, with what waits in it."""
    memory = MemoryTransport()
    events = compose(memory)
    events.subscribe_event("E", "memory:a")
    [subscriber] = events.event("E").targets
    events.raise_event("E", ["x"])
    for most, kind in ((0, MemoryQueue), (100, ByteQueue), (200, ByteQueue), (0, MemoryQueue)):
        events._configure(CoreOptions(queue_bytes=most))
        assert type(subscriber.queue) is kind
        assert len(subscriber.queue) == 1
    events._configure(CoreOptions(queue_bytes=1))
    events.raise_event("E", ["y"])
    assert (subscriber.depth, subscriber.reasons) == (1, {"queue_full": 1})
    assert bounded(subscriber.queue, 7, 5).most_bytes == 5


def test_without_a_bound_a_raise_counts_no_bytes():
    """Without `queue_bytes` an event is added to the queue by the deque's own method."""
    events = compose(MemoryTransport())
    events.subscribe_event("E", "memory:a")
    [subscriber] = events.event("E").targets
    events.raise_event("E", ["x"])
    assert type(subscriber.queue).append is deque.append
