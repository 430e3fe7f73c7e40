"""Long work in slices of the loop."""

import asyncio

from evframe_timing import Slices, portions, slices


def test_portions_are_at_most_of_a_size():
    """The last one has what is left; nothing gives none."""
    assert list(portions(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(portions([], 2)) == []


async def test_the_loop_serves_others_when_a_slice_is_over():
    """A pause within the slice returns at once; one after it gives the loop a turn."""
    now = 0.0
    turns = 0

    def turn():
        nonlocal turns
        turns += 1

    loop = asyncio.get_running_loop()
    each = Slices(clock=lambda: now)
    loop.call_soon(turn)
    await each.pause()
    assert turns == 0
    now = slices.SLICE_S * 2
    await each.pause()
    assert turns == 1
    loop.call_soon(turn)
    await each.pause()
    assert turns == 1, "another slice has begun"
