"""Long work on the loop in slices, between which the loop serves others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T")
SLICE_S: Final = 0.001
"""How long the loop serves nothing else."""
_AT_ONCE: Final = 64


class Slices:
    """Lets the loop serve others when a slice is over.

    Args:
        slice_s: how many seconds a slice has; `SLICE_S` without it.
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, slice_s: float | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slice_s = SLICE_S if slice_s is None else slice_s
        self._clock = clock
        self._until = clock() + self._slice_s

    async def pause(self) -> None:
        """Let the loop have a turn if this slice is over; call it every tenth of a millisecond or so."""
        if self._clock() > self._until:
            await asyncio.sleep(0)
            self._until = self._clock() + self._slice_s


def portions(items: Iterable[T], size: int = _AT_ONCE) -> Iterator[list[T]]:
    """Yield *items* in lists of at most *size*."""
    rest = iter(items)
    while portion := list(islice(rest, size)):
        yield portion
