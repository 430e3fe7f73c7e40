"""Observers of batches: what they are called with, and that they disturb nothing."""

import asyncio

import pytest

import evframe
from evframe.delivery.limits import Limits
from evframe.exceptions import Rejected, Unavailable
from evframe.testing import MemoryTransport, until


class Observing:
    """A plugin that observes every batch."""

    def __init__(self):
        self.seen = []

    @evframe.hookimpl
    def start(self, context):
        self.end = context.observe(self.observe)

    def observe(self, socket, batch, error, seconds):
        assert seconds >= 0.0
        reason = getattr(error, "reason", error)
        self.seen.append((socket.canonical, len(batch.events), dict(batch.failures), reason))


def succeeds(_):
    return True


def fails_one(batch):
    batch.fail(0, "odd")
    return True


def refuses(_):
    raise Rejected("refused")


async def succeeds_later(_):
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("behaviour", "seen"),
    [
        (succeeds, ({}, None)),
        (fails_one, ({0: "odd"}, None)),
        (refuses, ({}, "refused")),
        (succeeds_later, ({}, None)),
    ],
)
@pytest.mark.parametrize("at_once", [False, True])
async def test_each_batch_is_reported_once(behaviour, seen, at_once):
    """An observer gets the socket, the batch with its failures, and the error of the whole batch."""
    memory, observing = MemoryTransport(), Observing()
    memory.limits = Limits(at_once=at_once)
    memory.when("a", behaviour)
    async with evframe.EventInterface(plugins={"memory": memory, "observing": observing}) as events:
        events.register_event("E")
        events.subscribe_event("E", "memory:a")
        events.raise_event("E")
        await until(lambda: observing.seen)
        assert observing.seen == [("memory:a", 1, *seen)]
        assert events.statistics[0].depth == 0


async def test_retries_are_reported_each():
    """A batch that comes back is reported, and so is the next attempt."""
    memory, observing = MemoryTransport(), Observing()
    errors = [Unavailable("unreachable")]

    def once(_):
        if errors:
            raise errors.pop()
        return True

    memory.when("a", once)
    async with evframe.EventInterface(plugins={"memory": memory, "observing": observing}) as events:
        events.register_event("E")
        events.subscribe_event("E", "memory:a")
        events.raise_event("E")
        await until(lambda: len(observing.seen) == 2)
    assert [reason for *_, reason in observing.seen] == ["unreachable", None]


async def test_an_observer_that_raises_is_logged(caplog):
    """An error of an observer is logged; other observers are called, and the outcome is the same."""
    memory, observing, other = MemoryTransport(), Observing(), Observing()
    observing.observe = lambda *_: 1 / 0
    plugins = {"memory": memory, "observing": observing, "other": other}
    async with evframe.EventInterface(plugins=plugins) as events:
        events.register_event("E")
        events.subscribe_event("E", "memory:a")
        (outcome,) = await events.raise_event_and_wait("E")
    assert outcome.delivered
    assert other.seen == [("memory:a", 1, {}, None)]
    assert [record.socket for record in caplog.records if "observer" in record.message] == ["memory:a"]


async def test_an_observer_ends():
    """After its end an observer is called no more, and no batch is timed."""
    memory, observing = MemoryTransport(), Observing()
    async with evframe.EventInterface(plugins={"memory": memory, "observing": observing}) as events:
        events.register_event("E")
        events.subscribe_event("E", "memory:a")
        await events.raise_event_and_wait("E")
        observing.end()
        observing.end()
        batches = []
        memory.when("a", lambda batch: batches.append(batch) or True)
        await events.raise_event_and_wait("E")
        assert len(observing.seen) == 1
        assert batches[0].began_at is None


async def test_a_cancelled_batch_is_not_reported():
    """A batch that is given up at the end has no time that says anything about its peer."""
    memory, observing = MemoryTransport(), Observing()
    memory.when("a", lambda _: asyncio.get_running_loop().create_future())
    config = evframe.Config(core=evframe.config.CoreOptions(drain_timeout_s=0.0))
    async with evframe.EventInterface(config, plugins={"memory": memory, "observing": observing}) as events:
        events.register_event("E")
        events.subscribe_event("E", "memory:a")
        events.raise_event("E")
        await until(lambda: events.statistics[0].depth == 1 and events._roster.scheduler._under_way)
    assert observing.seen == []
    assert events.statistics[0].reasons == {"shutdown": 1}
