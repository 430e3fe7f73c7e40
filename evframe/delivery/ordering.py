"""Order through a plugin that has several batches of a subscriber under way at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Final

from evframe.exceptions import Unavailable

BEHIND: Final = "behind_another"
"""The reason of a batch that comes back only because one before it has; it is no reason of the subscriber's."""
Step = Callable[[str], AbstractAsyncContextManager[None]]


class Ordering:
    """The batches of one subscriber: each step is taken by one after the other, and by none past one that came back.

    The core tries a batch again that raises `Unavailable`, and would do so after the batches that
    are under way behind it; with this they come back as well, and all go again in their order::

        def deliver(self, socket, batch):
            return self._deliver(ordering.batch(), batch)

        async def _deliver(self, way, batch):
            with way as step:
                async with step("write"):
                    written = await write(batch)
                await acknowledged(written)

    The hook itself calls `batch`: the coroutine begins later, when another batch may have come back.
    """

    def __init__(self) -> None:
        self._came_back = 0
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def batch(self) -> AbstractContextManager[Step]:
        """Return the steps of a batch that begins its way now; `Unavailable` from within holds back those behind it."""
        return self._way(self._came_back)

    @contextmanager
    def _way(self, came_back: int) -> Iterator[Step]:
        @asynccontextmanager
        async def step(name: str) -> AsyncIterator[None]:
            async with self._locks[name]:
                if self._came_back != came_back:
                    raise Unavailable(BEHIND)
                with self._watched():
                    yield

        with self._watched():
            yield step

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except Unavailable:
            self._came_back += 1
            raise
