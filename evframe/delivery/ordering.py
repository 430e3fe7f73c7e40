"""Order through a plugin that has several batches of a subscriber under way at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Final

from evframe.exceptions import Unavailable

BEHIND: Final = "behind_another"
"""The reason of a batch that comes back only because an earlier batch has; the subscriber never has this reason."""
Step = Callable[[str], AbstractAsyncContextManager[None]]


class Ordering:
    """Keeps the batches of one subscriber in order: batches take each step one by one, and none passes a failed one.

    The core retries a batch that raises `Unavailable`. Without an `Ordering`, the batches behind it would arrive
    first; with it, they come back as well, and all are sent again in their order::

        def deliver(self, socket, batch):
            return self._deliver(ordering.batch(), batch)

        async def _deliver(self, way, batch):
            with way as step:
                async with step("write"):
                    written = await write(batch)
                await acknowledged(written)

    Call `batch` in the hook itself, because another batch may come back before the coroutine begins.
    """

    def __init__(self) -> None:
        self._came_back = 0
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def batch(self) -> AbstractContextManager[Step]:
        """Return the steps of a batch that begins now; `Unavailable` within them holds back the batches behind it."""
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
