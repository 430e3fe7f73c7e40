"""Whose turn it is to be tried again: counts, on a clock that stands still."""

import random
from bisect import bisect
from contextvars import Context

import attrs
import pytest
from evframe_timing import Retries, RetryTimer

import evframe
from evframe.cli.gateway import run_loop
from evframe.config import Config
from evframe.exceptions import Unavailable
from evframe.testing import FakeClock, until


def run(retries, clock, seconds, again=None):
    """Let time pass in steps as the timer would; return what was taken with its time."""
    taken, end = [], clock.now + seconds
    while (wait_s := retries.next_in_s()) is not None and clock.now + wait_s < end:
        clock.advance(max(wait_s, 1e-6))
        for key in retries.take():
            taken.append((clock.now, key))
            if again is not None:
                retries.add(key, again())
    clock.now = end
    return taken


@pytest.mark.parametrize("per_s", [1, 7, 100, 1000])
def test_attempts_are_bounded(per_s):
    """However many wait, no second has more attempts than the budget and what may come at once."""
    clock = FakeClock()
    retries = Retries(per_s, clock)
    for key in range(5000):
        retries.add(key, random.uniform(0.025, 0.05), is_first=True)
    times = [at for at, _ in run(retries, clock, 30, lambda: random.uniform(1, 2))]
    most = per_s + max(1, per_s * 0.02)
    for index, at in enumerate(times):
        assert bisect(times, at + 1 - 1e-6) - index <= most
    assert len(times) >= 30 * per_s * 0.95 - 1


def test_few_have_the_turns_that_they_are_due():
    """As long as the budget suffices, each is tried when it is due."""
    clock = FakeClock()
    retries = Retries(1000, clock)
    due = {key: random.uniform(0, 2) for key in range(500)}
    for key, after_s in due.items():
        retries.add(key, after_s)
    began = clock.now
    for at, key in run(retries, clock, 3):
        assert at - began == pytest.approx(due[key], abs=0.03)
    assert len(retries) == 0


def test_everyone_has_a_turn():
    """When the budget does not suffice, all are tried in the order in which they are due, and none is left behind."""
    clock = FakeClock()
    retries = Retries(100, clock)
    for key in range(1000):
        retries.add(key, random.uniform(0.5, 1))
    taken = [key for _, key in run(retries, clock, 41, lambda: random.uniform(1, 2))]
    counts = [taken.count(key) for key in range(1000)]
    assert max(counts) - min(counts) <= 2
    assert min(counts) >= 3


def test_a_short_absence_does_not_wait_behind_long_ones():
    """Who failed for the first time waits for others of its kind alone, for whom half of the budget is kept."""
    clock = FakeClock()
    retries = Retries(100, clock)
    for key in range(5000):
        retries.add(key, 0)
    run(retries, clock, 5, lambda: 1)
    retries.add("new", 0.05, is_first=True)
    found = next(at for at, key in run(retries, clock, 5, lambda: 1) if key == "new")
    assert found - (clock.now - 5) < 0.1

    for key in range(100):
        retries.add(("first", key), 0, is_first=True)
    taken = [key for _, key in run(retries, clock, 2)]
    assert 95 <= sum(isinstance(key, tuple) for key in taken) <= 100
    assert len(taken) >= 195


def test_what_is_discarded_is_not_kept():
    """A key that is discarded is not taken, and nothing of it is kept."""
    clock = FakeClock()
    retries = Retries(10, clock)
    for key in range(100):
        retries.add(key, 1 + key / 1000)
    assert [retries.discard(key) for key in (0, 50, 99, "x")] == [True, True, True, False]
    assert {key for _, key in run(retries, clock, 60)} == set(range(100)) - {0, 50, 99}
    assert retries.next_in_s() is None
    assert retries._queues == ([], [])


def test_attempts_without_a_turn_count():
    """An attempt that did not wait for its turn delays those that do."""
    clock = FakeClock()
    retries = Retries(10, clock)
    for _ in range(21):
        retries.spend()
    retries.add("a", 0)
    assert run(retries, clock, 1.9) == []
    assert [key for _, key in run(retries, clock, 0.3)] == ["a"]


async def test_dead_subscribers_share_the_budget(memory):
    """Subscribers that are away share `retries_per_s`; healthy and new ones have their events at once."""
    attempts = {}

    def away(name):
        def behave(batch):
            attempts[name] = attempts.get(name, 0) + 1
            raise Unavailable("refused")

        return behave

    config = Config(core=attrs.evolve(Config().core, retries_per_s=50, drain_timeout_s=0.0))
    async with evframe.EventInterface(config, plugins={"memory": memory}) as events:
        events.register_event("E_T")
        for n in range(1000):
            memory.when(f"d{n}", away(f"d{n}"))
            events.subscribe_event("E_T", f"memory:d{n}")
        events.subscribe_event("E_T", "memory:healthy")
        retries = events._roster.scheduler.retries._retries
        clock = retries._clock
        began = clock()
        events.raise_event("E_T", [0])
        await until(lambda: len(attempts) == 1000)
        assert "healthy" in memory.delivered
        await until(lambda: sum(attempts.values()) >= 1050)
        # A count for the time that has passed, however long that was.
        assert sum(attempts.values()) - 1000 <= 1 + 50 * (clock() - began)
        memory.when("new", lambda batch: memory.delivered.setdefault("new", batch.events) is batch.events)
        events.subscribe_event("E_T", "memory:new")
        events.raise_event("E_T", [1])
        retried = sum(attempts.values())
        await until(lambda: "new" in memory.delivered and len(memory.delivered["healthy"]) == 2)
        assert sum(attempts.values()) - retried < 50
        assert len(retries) > 900


async def test_one_that_ends_does_not_wait_for_its_turn(memory):
    """A subscriber that is away ends in its time, however long its next attempt may be off."""

    def away(batch):
        raise Unavailable("refused")

    config = Config(core=attrs.evolve(Config().core, retries_per_s=1, drain_timeout_s=0.05))
    async with evframe.EventInterface(config, plugins={"memory": memory}) as events:
        events.register_event("E_T")
        for n in range(100):
            memory.when(f"d{n}", away)
            events.subscribe_event("E_T", f"memory:d{n}")
        events.raise_event("E_T")
        await until(lambda: len(events._roster.scheduler.retries._retries) >= 95)
        for n in range(100):
            events.unsubscribe_event("E_T", f"memory:d{n}")
        await until(lambda: len(memory.released) == 100)
        assert not events._roster.scheduler.retries._retries._entries
        assert events.statistics[-1].failed == 100
        assert events.statistics[-1].reasons["unsubscribed"] >= 90


def test_the_timer_on_the_loop_of_the_gateway():
    """On the loop that the gateway runs on, a retry that is due at once can be followed by another."""
    taken = []

    async def main():
        timer = RetryTimer(1000, taken.append, Context())
        timer.alarm.start()
        for key in range(3):
            timer.add(key, 0.0)
        await until(lambda: len(taken) == 3, 20)
        timer.alarm.stop()

    run_loop(main())
    assert taken == [0, 1, 2]
