"""Turns: who is woken for what is scarce, and in which order."""

import asyncio

from evframe_timing import Turns


class Desk:
    """A place at each key, which a caller takes when it is free."""

    def __init__(self):
        self.turns, self.taken, self.checks, self.closed = Turns(), [], 0, {"a", "b"}

    async def take(self, number, keys):
        def obstacle():
            self.checks += 1
            return next((key for key in keys if key in self.closed), None)

        await self.turns.wait(obstacle)
        self.taken.append(number)
        self.closed.update(keys)

    async def open(self, *keys):
        self.closed.difference_update(keys)
        self.turns.give_at_most(lambda key: int(key in keys))
        for _ in range(5):
            await asyncio.sleep(0)


async def test_the_oldest_gets_the_turn():
    """A turn wakes the caller that has waited longest; the checks are a few for each turn, however many wait."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as callers:
        desk = Desk()
        for number in range(100):
            callers.create_task(desk.take(number, "a"))
        await asyncio.sleep(0)
        for _ in range(100):
            await desk.open("a")
        assert desk.taken == list(range(100))
        assert desk.checks <= 600
        assert not len(desk.turns)


async def test_a_turn_that_is_not_used_goes_to_the_next():
    """A caller that waits for another key, or is cancelled, leaves its turn to the next one."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as callers:
        desk = Desk()
        callers.create_task(desk.take(1, "ab"))
        cancelled = callers.create_task(desk.take(2, "a"))
        callers.create_task(desk.take(3, "a"))
        await asyncio.sleep(0)
        cancelled.cancel()
        await desk.open("a")
        assert desk.taken == [3]
        await desk.open("a", "b")
        assert desk.taken == [3, 1]


async def test_all_may_get_a_turn():
    """`give` wakes every caller of a key, and no other one."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as callers:
        desk = Desk()
        for number in range(10):
            callers.create_task(desk.take(number, "ab"[number % 2]))
        await asyncio.sleep(0)
        desk.turns.give("a")
        await asyncio.sleep(0)
        assert desk.checks == 15
        for _ in range(5):
            await desk.open("a", "b")
    assert sorted(desk.taken) == list(range(10))
