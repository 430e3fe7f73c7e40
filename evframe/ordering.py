"""Order through a plugin that has several batches of a subscriber under way at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from evframe.exceptions import Unavailable

Step = Callable[[str], AbstractAsyncContextManager[None]]


class Ordering:
    """The batches of one subscriber: each step is taken by one after the other, and by none past one that came back.

    The core tries a batch again that raises `Unavailable`, and would do so after the batches that
    are under way behind it; with this they come back as well, and all go again in their order::

        with ordering.batch() as step:
            async with step("write"):
                written = await write(batch)
            await acknowledged(written)
    """

    def __init__(self) -> None:
        self._came_back = 0
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @contextmanager
    def batch(self) -> Iterator[Step]:
        """Return the steps of a batch that begins its way now; `Unavailable` from within holds back those behind it."""
        came_back = self._came_back

        @asynccontextmanager
        async def step(name: str) -> AsyncIterator[None]:
            async with self._locks[name]:
                if self._came_back != came_back:
                    raise Unavailable("behind_another")
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
