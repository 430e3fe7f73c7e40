"""Order through steps that batches take one after the other."""

import asyncio

import pytest

from evframe import Rejected, Unavailable
from evframe.delivery.ordering import Ordering


async def go(ordering, log, name, *, write=None, settle=None, may_write=None, way=None):
    """Take a batch through the step `write` and to its end; *write* and *settle* are the errors there."""
    with way or ordering.batch() as step:
        async with step("write"):
            if may_write is not None:
                await may_write.wait()
            log.append(name)
            if write is not None:
                raise write
        await asyncio.sleep(0)
        if settle is not None:
            raise settle


async def test_one_after_the_other():
    """A step is taken in the order of beginning, however long the first takes."""
    ordering, log, may_write = Ordering(), [], asyncio.Event()
    tasks = [asyncio.create_task(go(ordering, log, "first", may_write=may_write))]
    tasks += [asyncio.create_task(go(ordering, log, name)) for name in ("second", "third")]
    await asyncio.sleep(0)
    assert log == []
    may_write.set()
    await asyncio.gather(*tasks)
    assert log == ["first", "second", "third"]


@pytest.mark.parametrize("place", ["write", "settle"])
async def test_none_past_one_that_came_back(place):
    """What waits behind a batch that comes back does so as well; what begins later goes its way."""
    ordering, log, may_write = Ordering(), [], asyncio.Event()
    first = go(ordering, log, "first", may_write=may_write, **{place: Unavailable("away")})
    tasks = [asyncio.create_task(first)]
    if place == "write":
        tasks.append(asyncio.create_task(go(ordering, log, "second")))
        await asyncio.sleep(0)
    may_write.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result.reason for result in results] == ["away", "behind_another"][: len(tasks)]
    assert log == ["first"]
    await go(ordering, log, "first again")
    assert log == ["first", "first again"]


async def test_a_batch_begins_when_it_is_handed_over():
    """What was handed over before another batch came back does so as well, when its coroutine begins after that too."""
    ordering, log = Ordering(), []
    second = go(ordering, log, "second", way=ordering.batch())
    with pytest.raises(Unavailable, match="away"):
        await go(ordering, log, "first", settle=Unavailable("away"))
    with pytest.raises(Unavailable, match="behind_another"):
        await second
    assert log == ["first"]


async def test_a_refusal_holds_back_nobody():
    """A batch that is refused for good is over: the next one follows."""
    ordering, log = Ordering(), []
    refused = asyncio.create_task(go(ordering, log, "refused", write=Rejected("no")))
    await asyncio.gather(refused, go(ordering, log, "next"), return_exceptions=True)
    assert log == ["refused", "next"]


async def test_steps_are_apart():
    """A later batch can be in one step while an earlier one is in the next."""
    ordering, log, acknowledged = Ordering(), [], asyncio.Event()

    async def two_steps(name):
        with ordering.batch() as step:
            async with step("pack"):
                log.append(f"{name} packed")
            async with step("send"):
                await acknowledged.wait()
                log.append(f"{name} sent")

    tasks = [asyncio.create_task(two_steps(name)) for name in "ab"]
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == ["a packed", "b packed"]
    acknowledged.set()
    await asyncio.gather(*tasks)
    assert log == ["a packed", "b packed", "a sent", "b sent"]
