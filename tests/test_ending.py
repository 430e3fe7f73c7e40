"""What ends is given up a slice in each turn of the loop: counts, not times."""

import asyncio
from contextlib import suppress

import pytest

import evframe
from evframe.config import Config, CoreOptions
from evframe.delivery.ending import SLICE_EVENTS
from evframe.delivery.limits import Limits
from evframe.testing import MemoryTransport, until


async def hangs(batch):
    await asyncio.Event().wait()


class Turns:
    """Watches how much a count grows from one turn of the loop to the next."""

    def __init__(self, count):
        self.count, self.most = count, 0

    async def __aenter__(self):
        self.task = asyncio.create_task(self.watch())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *error):
        self.task.cancel()

    async def watch(self):
        before = self.count()
        while True:
            await asyncio.sleep(0)
            now = self.count()
            self.most = max(self.most, now - before)
            before = now


def compose(memory, subscribers, waiting):
    core = CoreOptions(queue_size=waiting, drain_timeout_s=0.0)
    events = evframe.EventInterface(Config(core=core), plugins={"memory": memory})
    events.register_event("E_T")
    leases = []
    for n in range(subscribers):
        memory.when(f"s{n}", hangs)
        leases.append(events.subscribe_event("E_T", f"memory:s{n}"))
    return events, [lease.subscriber for lease in leases]


async def fill(events, subscribers, waiting):
    for n in range(waiting):
        events.raise_event("E_T", [n])
    await until(lambda: all(subscriber.in_flight for subscriber in subscribers))


async def test_a_subscriber_that_ended_before_the_start_is_given_up_in_time():
    """An event that was raised, and whose subscriber ended, before the interface was entered has its time, too."""
    memory = MemoryTransport()
    events, (ended,) = compose(memory, 1, 1)
    events.raise_event("E_T", [1])
    events.unsubscribe_event("E_T", ended.socket.canonical)
    async with events:
        await until(lambda: memory.released)
    assert events.statistics[-1].reasons == {"unsubscribed": 1}


@pytest.mark.parametrize(("subscribers", "waiting"), [(2, 20_000), (5000, 1)])
async def test_ends_are_cut_in_slices(subscribers, waiting):
    """However much ended subscribers hold, and however many there are, a turn gives up a slice of it."""
    memory = MemoryTransport()
    events, ending = compose(memory, subscribers, waiting)
    async with events:
        await fill(events, ending, waiting)
        for subscriber in ending:
            events.unsubscribe_event("E_T", subscriber.socket.canonical)
        async with Turns(lambda: sum(subscriber.failed for subscriber in ending)) as turns:
            await until(lambda: len(memory.released) == subscribers)
    assert events.statistics[-1].failed == subscribers * waiting
    # A slice of what waits, and the batches that were cancelled in the turn before.
    assert 0 < turns.most <= 3 * SLICE_EVENTS


@pytest.mark.parametrize(("subscribers", "waiting"), [(2, 20_000), (5000, 1)])
async def test_the_end_of_the_interface_comes_in_slices(subscribers, waiting):
    """However much waits when the interface is left, a turn gives up a slice of it."""
    memory = MemoryTransport()
    events, ending = compose(memory, subscribers, waiting)
    async with (
        Turns(lambda: sum(subscriber.failed for subscriber in ending)) as turns,
        Turns(lambda: len(memory.released)) as releases,
    ):
        async with events:
            await fill(events, ending, waiting)
    assert sum(subscriber.failed for subscriber in ending) == subscribers * waiting
    assert 0 < turns.most <= 3 * SLICE_EVENTS
    assert releases.most <= 256


async def test_what_came_back_beside_a_delivery_that_hangs():
    """A subscriber whose time is over ends: a batch that came back while another one hangs is not sent again."""

    class Memory(MemoryTransport):
        limits = Limits(in_flight=2, batch_events=1)

    sent = []
    fail = asyncio.Event()

    async def sends(batch):
        sent.extend(batch.events)
        await (fail if len(sent) == 1 else asyncio.Event()).wait()
        raise evframe.Unavailable("away")

    memory = Memory()
    events, (subscriber,) = compose(memory, 1, 10)
    memory.when("s0", sends)
    async with events:
        for n in range(2):
            events.raise_event("E_T", [n])
        await until(lambda: len(sent) == 2)
        fail.set()
        await until(lambda: subscriber.returned)
        events.unsubscribe_event("E_T", "memory:s0")
        await until(lambda: memory.released)
    assert len(sent) == 2
    assert (subscriber.reasons, subscriber.depth) == ({"unsubscribed": 2}, 0)


async def test_a_delivery_that_ignores_its_cancellation_is_counted():
    """Its events are lost with the interface, whatever it says later."""
    release = asyncio.Event()

    async def goes_on(batch):
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()

    memory = MemoryTransport()
    memory.when("deaf", goes_on)
    events = evframe.EventInterface(Config(core=CoreOptions(drain_timeout_s=0.05)), plugins={"memory": memory})
    events.register_event("E_A")
    outcomes = []
    async with events:
        subscriber = events.subscribe_event("E_A", "memory:deaf").subscriber
        for _ in range(3):
            events.raise_event_and_tell("E_A", None, outcomes.append)
        await until(lambda: subscriber.in_flight)
    assert outcomes == [["shutdown"]] * 3
    release.set()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait(left)
    assert (subscriber.raised, subscriber.delivered, subscriber.failed, subscriber.depth) == (3, 0, 3, 0)
