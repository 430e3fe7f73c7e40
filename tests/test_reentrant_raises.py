"""What callbacks, hooks and observers of the delivery call while it records outcomes."""

import asyncio
import gc

import pytest

import evframe
from evframe.config import Config, CoreOptions
from evframe.delivery.limits import Limits
from evframe.testing import MemoryTransport, until


class Wide(MemoryTransport):
    """Several batches of one event may be under way, so that a subscriber is idle beside them."""

    limits = Limits(in_flight=8, batch_events=1)


class Waiting:
    """A subscriber whose batches are under way until a test ends them."""

    def __init__(self, memory, name):
        self.memory, self.name = memory, name
        self.over = asyncio.get_running_loop().create_future()
        memory.when(name, lambda _: self.over)

    def end(self):
        self.memory.when(self.name, None)
        self.over.set_result(None)


def make(memory, **core):
    events = evframe.EventInterface(Config(core=CoreOptions(**core)), plugins={"memory": memory})
    events.register_event("E_R")
    return events


def is_counted(subscriber):
    return subscriber.raised == subscriber.delivered + subscriber.failed + subscriber.depth


@pytest.mark.parametrize("how", ["callback", "observer"])
async def test_a_subscriber_that_ends_within_its_last_outcome_is_released_once(how):
    """A callback or an observer that unsubscribes has the subscriber released and counted once."""
    memory = Wide()
    async with asyncio.timeout(30), make(memory) as events:
        waiting = Waiting(memory, "a")
        subscriber = events.subscribe_event("E_R", "memory:a").subscriber
        if how == "observer":
            events.observe(lambda *_: events.unsubscribe_event("E_R", "memory:a"))
            events.raise_event("E_R", [1])
        else:
            events.raise_event_and_tell("E_R", [1], lambda _: events.unsubscribe_event("E_R", "memory:a"))
        await until(lambda: subscriber.batches)
        waiting.end()
        await until(lambda: memory.released)
        for _ in range(5):
            await asyncio.sleep(0)
        assert memory.released == ["a"]
        assert sum(counters.raised for counters in events.statistics) == 1
        assert sum(counters.delivered for counters in events.statistics) == 1


async def test_an_event_for_a_subscriber_that_was_released_meanwhile_fails():
    """A raise that has a subscriber released before its turn reports `unsubscribed` for it, and delivers nothing."""
    memory, outcomes = MemoryTransport(), []
    async with asyncio.timeout(30), make(memory, queue_size=1) as events:
        idle = events.subscribe_event("E_R", "memory:a").subscriber
        full = events.subscribe_event("E_R", "memory:b").subscriber  # the newest one is the first
        waiting = Waiting(memory, "b")

        class Ending:
            @evframe.hookimpl
            def delivery_changed(self, socket, reason):
                if reason:
                    events.unsubscribe_event("E_R", "memory:a")

        events.plugins.register(Ending(), "ending")
        events.raise_event("E_R", [0])
        await until(lambda: full.batches and not idle.depth)
        events.raise_event("E_R", [1])
        await until(lambda: full.queue and not idle.depth)
        events.raise_event_and_tell("E_R", [2], outcomes.append)
        assert outcomes == [["queue_full", "unsubscribed"]]
        assert memory.released == ["a"]
        waiting.end()
        await until(lambda: not full.depth)
        assert [event.params[0] for event in memory.delivered["a"]] == [0, 1]
        assert memory.released == ["a"]


@pytest.mark.parametrize("queue_bytes", [0, 60])
async def test_a_callback_of_a_dropped_event_may_raise_another_one(queue_bytes):
    """With `drop_oldest`, the order and the bounds of the queue stay when a callback raises an event."""
    memory, outcomes = MemoryTransport(), []
    core = {"overflow": "drop_oldest", "queue_size": 3, "queue_bytes": queue_bytes}
    async with asyncio.timeout(30), make(memory, **core) as events:
        subscriber = events.subscribe_event("E_R", "memory:a").subscriber
        waiting = Waiting(memory, "a")
        events.raise_event("E_R", [0])
        await until(lambda: subscriber.batches)
        number = 0

        def dropped(_):
            outcomes.append(is_counted(subscriber))
            events.raise_event("E_R", [number + 1])

        for number in range(10, 80, 10):
            events.raise_event_and_tell("E_R", [number], dropped if number == 10 else outcomes.append)
            assert is_counted(subscriber)
            waits = [event.params[0] for event in subscriber.queue]
            assert waits == sorted(waits)
            assert len(waits) <= 3
        assert outcomes[0] is True
        waiting.end()
        await until(lambda: not subscriber.depth)
        assert is_counted(subscriber)
        assert len(outcomes) == 7


async def test_a_hook_that_raises_within_a_loss_takes_no_callback():
    """With `drop_oldest`, the callback of an event stays with it when the report of a loss raises another event."""
    memory, outcomes = MemoryTransport(), {}
    async with asyncio.timeout(30), make(memory, overflow="drop_oldest", queue_size=3) as events:
        subscriber = events.subscribe_event("E_R", "memory:a").subscriber
        waiting = Waiting(memory, "a")

        class Raising:
            @evframe.hookimpl
            def delivery_changed(self, socket, reason):
                events.raise_event("E_R", ["changed"])

        events.plugins.register(Raising(), "raising")
        events.raise_event("E_R", [0])
        await until(lambda: subscriber.batches)
        for number in range(1, 5):  # the last one is dropped for what the report raises
            events.raise_event_and_tell("E_R", [number], lambda reasons, n=number: outcomes.update({n: reasons}))
        for number in range(5, 7):
            events.raise_event("E_R", [number])
        assert outcomes == {1: ["queue_full"], 2: ["queue_full"], 3: ["queue_full"], 4: ["queue_full"]}
        waiting.end()
        await until(lambda: not subscriber.depth)


async def test_counters_are_whole_within_a_callback():
    """The counters add up within each callback, for events that arrive, fail or come back."""
    memory, seen = MemoryTransport(), []
    async with asyncio.timeout(30), make(memory) as events:
        subscriber = events.subscribe_event("E_R", "memory:a").subscriber

        def partly(batch):
            batch.confirm(1)
            batch.fail(2, "too_large")
            memory.when("a", None)
            raise evframe.Unavailable("away", done=1)

        memory.when("a", partly)
        for number in range(6):
            events.raise_event_and_tell("E_R", [number], lambda _: seen.append(is_counted(subscriber)))
        await until(lambda: not subscriber.depth)
        memory.when("a", lambda _: asyncio.sleep(3600))
        for number in range(3):
            events.raise_event_and_tell("E_R", [number], lambda _: seen.append(is_counted(subscriber)))
        await until(lambda: subscriber.batches)
        for number in range(3):
            events.raise_event_and_tell("E_R", [number], lambda _: seen.append(is_counted(subscriber)))
        await events._roster.drain(0.0)
    assert seen == [True] * 12


async def test_one_future_may_end_several_batches():
    """A transport that returns the same future for several batches has the outcome of each recorded."""
    memory = Wide()
    async with asyncio.timeout(30), make(memory) as events:
        subscriber = events.subscribe_event("E_R", "memory:a").subscriber
        waiting = Waiting(memory, "a")
        for number in range(3):
            events.raise_event("E_R", [number])
        await until(lambda: subscriber.batches == 3)
        waiting.end()
        await until(lambda: not subscriber.depth)
        assert subscriber.delivered == 3


async def test_a_callback_without_subscribers_may_subscribe_one():
    """The callback of an event without subscribers, which is called at once, may make the first one."""
    memory, outcomes = MemoryTransport(), []

    def subscribe(reasons):
        outcomes.append(reasons)
        events.subscribe_event("E_R", "memory:a")

    async with asyncio.timeout(30), make(memory) as events:
        events.raise_event_and_tell("E_R", [1], subscribe)
        events.raise_event("E_R", [2])
        await until(lambda: memory.delivered)
        assert outcomes == [[]]
        assert [event.params[0] for event in memory.delivered["a"]] == [2]


@pytest.mark.parametrize("timeout_s", [0.05, 5.0])
async def test_a_subscriber_that_comes_while_the_interface_is_left_loses_nothing_silently(timeout_s):
    """Each event of a subscriber that is made during the drain has an outcome: within the time, its delivery."""
    memory, outcomes, made = MemoryTransport(), [], []
    async with asyncio.timeout(30), make(memory, drain_timeout_s=timeout_s) as events:
        events.subscribe_event("E_R", "memory:a")

        async def slow(_):
            memory.when("a", None)
            await until(lambda: events._roster._probes._task is None)  # the drain follows
            for _ in range(5):
                await asyncio.sleep(0)
            memory.when("b", lambda _: asyncio.sleep(0.02 if timeout_s > 1 else 3600))
            made.append(events.subscribe_event("E_R", "memory:b").subscriber)
            for number in range(2, 5):
                events.raise_event_and_tell("E_R", [number], outcomes.append)
                await until(lambda: made[0].batches)  # the next ones wait in the queue

        memory.when("a", slow)
        events.raise_event("E_R", [1])
    late = made[0]
    assert (late.raised, late.depth) == (3, 0)
    assert late.reasons == (None if timeout_s > 1 else {"shutdown": 3})
    assert len(outcomes) == 3


async def test_a_reload_during_the_drain_opens_no_queue():
    """Bounds that change after the drain has begun to lose events leave no event without an outcome."""
    memory, outcomes = MemoryTransport(), []
    async with asyncio.timeout(30), make(memory, drain_timeout_s=0.0) as events:
        subscribers = [events.subscribe_event("E_R", f"memory:{name}").subscriber for name in "ab"]
        for name in "ab":
            Waiting(memory, name)
        events.raise_event("E_R", [0])
        await until(lambda: all(each.batches for each in subscribers))

        def reload(reasons):
            outcomes.append(reasons)
            events._configure(CoreOptions(queue_size=50, drain_timeout_s=0.0))
            events.raise_event_and_tell("E_R", [2], outcomes.append)

        events.raise_event_and_tell("E_R", [1], reload)
    assert outcomes == [["shutdown"] * 2] * 2
    assert [each.depth for each in subscribers] == [0, 0]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_callbacks_that_raise_for_a_full_queue_form_no_recursion(overflow):
    """However many events of a full queue have callbacks that raise, each is called once, and the counts are right."""
    memory, calls, count = MemoryTransport(), [], 2000
    async with asyncio.timeout(30), make(memory, overflow=overflow, queue_size=count) as events:
        subscriber = events.subscribe_event("E_R", "memory:a").subscriber
        waiting = Waiting(memory, "a")
        events.raise_event("E_R", [0])
        await until(lambda: subscriber.batches)

        def done(reasons):
            calls.append(reasons)
            if reasons != [None] and len(calls) < 2 * count:
                events.raise_event_and_tell("E_R", [2], done)

        for number in range(count + 1):
            events.raise_event_and_tell("E_R", [number], done)
        assert is_counted(subscriber)
        await until(lambda: len(calls) == 2 * count)
        waiting.end()
        await until(lambda: not subscriber.depth)
        assert subscriber.raised == len(calls) + 1
        assert is_counted(subscriber)


async def test_a_callback_without_subscribers_may_raise_again():
    """An event without subscribers has its outcome at once; a callback that raises the next forms no recursion."""
    memory, calls = MemoryTransport(), []
    async with asyncio.timeout(30), make(memory) as events:

        def done(_):
            calls.append(_)
            if len(calls) < 5000:
                events.raise_event_and_tell("E_R", [1], done)

        events.raise_event_and_tell("E_R", [1], done)
        await until(lambda: len(calls) == 5000)


class Litter:
    """Garbage with a finaliser, which the collector runs wherever memory is requested next."""

    def __init__(self, act):
        self.me, self.act = self, act

    def __del__(self):
        self.act()


@pytest.fixture
def collector():
    """Have the collector run at nearly every request for memory."""
    before = gc.get_threshold()
    yield lambda: gc.set_threshold(2)
    gc.set_threshold(*before)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
@pytest.mark.parametrize("queue_bytes", [0, 300])
@pytest.mark.parametrize("batch_events", [2, 1024])
@pytest.mark.parametrize("at_once", [True, False])
async def test_finalisers_raise_and_unsubscribe_anywhere(collector, overflow, queue_bytes, batch_events, at_once):
    """Finalisers that raise, subscribe and unsubscribe between any two steps of the delivery lose no event."""
    memory, outcomes, subscribers, budget = MemoryTransport(), [], set(), 2000
    memory.limits = Limits(batch_events=batch_events, at_once=at_once)
    core = {"overflow": overflow, "queue_size": 5, "queue_bytes": queue_bytes}
    async with asyncio.timeout(60), make(memory, **core) as events:

        def subscribe():
            subscribers.add(events.subscribe_event("E_R", "memory:a").subscriber)

        def tell():
            calls = []  # by name: a finaliser may run in the middle of this
            outcomes.append(calls)
            events.raise_event_and_tell("E_R", [len(outcomes)], calls.append)

        def act():
            nonlocal budget
            budget -= 1
            if budget > 0:
                acts[budget % len(acts)]()

        acts = [
            *[lambda: events.raise_event("E_R", [0]), tell] * 5,
            lambda: events.unsubscribe_event("E_R", "memory:a"),
            subscribe,
            tell,
        ]
        subscribe()
        collector()
        for number in range(300):
            Litter(act)
            tell() if number % 3 else events.raise_event("E_R", [number])
            if number % 7 == 0:
                await asyncio.sleep(0)
            if number % 50 == 0:
                events._configure(CoreOptions(**core | {"queue_bytes": 0 if number % 100 else 300}))
            left, budget = budget, 0
            assert all(map(is_counted, subscribers))
            budget = left
        budget = 0
        await until(lambda: not any(subscriber.depth for subscriber in subscribers))
        assert all(map(is_counted, subscribers))
        assert not any(subscriber.awaited for subscriber in subscribers)
        assert {len(calls) for calls in outcomes} == {1}
        released = {subscriber for subscriber in subscribers if not subscriber.leases}
        await until(lambda: len(memory.released) == len(released))
