"""What takes a moment to close."""

import asyncio

from evframe_wire.closing import Closing


async def test_the_end_waits_for_all():
    """A coroutine and a task are waited for; what has ended is kept no longer."""
    closing, closed, may_close = Closing(), [], asyncio.Event()

    async def close(number):
        await may_close.wait()
        closed.append(number)

    closing.add(close(1))
    closing.add(asyncio.ensure_future(close(2)))
    may_close.set()
    await closing.wait()

    assert sorted(closed) == [1, 2]
    await closing.wait()
    assert len(closed) == 2
