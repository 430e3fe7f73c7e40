"""Numbered events: raised at a steady rate, and what arrived of them, in a few words however many they are."""

import asyncio
import itertools


class Load:
    """Raises E_TEST with the numbers from 0, 2,000 a second."""

    def __init__(self, events):
        self.events = events
        self.raised = 0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._raise())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _raise(self):
        while True:
            for _ in range(20):
                self.events.raise_event("E_TEST", {"n": self.raised})
                self.raised += 1
            await asyncio.sleep(0.01)


def assert_all(numbers, count):
    """Fail unless each number below *count* is there, however often, and no other is."""
    missing = sorted(set(range(count)) - set(numbers))
    assert not missing, f"{len(missing)} of {count} missing, from {missing[0]} to {missing[-1]}"
    others = sorted(set(numbers) - set(range(count)))
    assert not others, f"{len(others)} that nobody has sent, from {others[0]} to {others[-1]}"


def assert_exactly(numbers, count):
    """Fail unless each number below *count* is there once, and all of them in order."""
    assert_in_order(numbers, count)
    assert len(numbers) == count, f"{len(numbers) - count} of them again"


def assert_in_order(numbers, count):
    """Fail unless each number below *count* is there, and the first of each in order."""
    assert_all(numbers, count)
    first = list(dict.fromkeys(numbers))
    jumps = [(before, after) for before, after in itertools.pairwise(first) if after != before + 1]
    assert not jumps, f"out of order at {len(jumps)} places: {jumps[:10]}"
