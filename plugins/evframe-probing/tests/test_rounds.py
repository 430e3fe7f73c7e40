"""When probes are made, on a clock that stands still until everybody waits."""

import asyncio

from evframe_probing import Rounds

from evframe.testing import FakeClock


class Sleeper:
    """Advances by exactly what is slept."""

    def __init__(self):
        self.clock = FakeClock(0.0)
        self.turns = 0

    async def sleep(self, seconds):
        await asyncio.sleep(0)  # a task that was spawned begins at this time
        self.clock.advance(seconds)
        self.turns += 1


async def run(due, probe, turns, interval_s=10.0):
    """Return who was probed when, within so many sleeps."""
    sleeper = Sleeper()
    made = []
    tasks = set()

    async def one(item):
        made.append((sleeper.clock(), item))
        await probe(item)

    def spawn(work):
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        return task

    rounds = Rounds(interval_s, due, one, spawn, clock=sleeper.clock, sleep=sleeper.sleep)
    going = asyncio.get_running_loop().create_task(rounds.run())
    while sleeper.turns < turns:
        await asyncio.sleep(0)
    for task in (going, *tasks):
        task.cancel()
    await asyncio.gather(going, *tasks, return_exceptions=True)
    return made


async def at_once(_):
    pass


async def test_spread_over_the_interval():
    """Each is probed once in an interval, at its own time, round after round."""
    made = await run(lambda: ["a", "b", "c", "d"], at_once, 10)
    assert made == [(0, "a"), (2.5, "b"), (5, "c"), (7.5, "d"), (10, "a"), (12.5, "b"), (15, "c"), (17.5, "d")]


async def test_a_hung_probe_holds_up_no_other():
    """The others keep their times; the hung one is not probed again before it is over."""

    async def hang(item):
        if item == "a":
            await asyncio.Event().wait()

    made = await run(lambda: ["a", "b"], hang, 9)
    assert made == [(0, "a"), (5, "b"), (15, "b"), (25, "b")]


async def test_an_error_of_a_probe_ends_nothing():
    """The next round probes it again."""

    async def fail(_):
        raise ValueError("x")

    assert await run(lambda: ["a"], fail, 4) == [(0, "a"), (10, "a")]


async def test_what_is_due_is_asked_each_round():
    """A destination that comes or goes is taken up with the next round; a round may be empty."""
    lists = iter([["a"], [], ["b"]])
    assert await run(lambda: next(lists, []), at_once, 6) == [(0, "a"), (20, "b")]
