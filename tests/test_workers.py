"""What plugins that run code for events share with others."""

import asyncio

import pytest

from evframe.plugins.workers import CallLimit
from evframe.testing import FakeClock


class Calls:
    """Calls that take as many seconds as their event says, and what is told of them."""

    def __init__(self):
        self.clock = FakeClock()
        self.told = []
        self.limit = CallLimit(self.clock)
        self.limit.set(2.0, lambda *what: self.told.append(what))

    def plain(self, event):
        self.clock.advance(event)

    async def waiting(self, event):
        await asyncio.sleep(0)
        self.clock.advance(event)
        raise LookupError(event)


@pytest.fixture
def calls():
    return Calls()


def test_without_a_limit_nothing_is_measured(calls):
    """A call is what it was, so that it costs nothing."""
    limit = CallLimit()
    limit.set(0.0, lambda *_: None)
    assert limit.timed("x", print) is not print
    limit.clear()
    assert limit.timed("x", calls.plain) == calls.plain
    assert limit.timed_async("x", calls.waiting) == calls.waiting


def test_a_slow_call_is_told(calls):
    """A call over the limit is told of with what it was called for; one at the limit is not."""
    call = calls.limit.timed("slow", calls.plain)
    call(2)
    call(3)
    assert calls.told == [("slow", 3, 3.0)]


async def test_a_slow_coroutine_is_told(calls):
    """A coroutine that waits is measured too, also when it ends with an error."""
    call = calls.limit.timed_async("waits", calls.waiting)
    for event in (2, 3):
        with pytest.raises(LookupError):
            await call(event)
    assert calls.told == [("waits", 3, 3.0)]
