"""The requests for the parts of a batch."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence

from evframe import DeliveryError

Part = Sequence[int]
"""The indexes of the events of one request."""


class BatchSender(ABC):
    """Sends a request for each part of a batch, one after another or several at once, until one has the rest wait.

    Args:
        parts: of the batch, in order.
        most: how many requests are under way at once.
    """

    def __init__(self, parts: Iterable[Part], most: int) -> None:
        self._pending = deque(parts)
        self._most = most
        self._problem: DeliveryError | None = None

    @abstractmethod
    async def send(self, part: Part) -> None:
        """Send the request for one part, and give its events their outcomes.

        Raises:
            DeliveryError: if those without an outcome, and the rest of the batch, have to wait or are not wanted.
        """

    def divide(self, part: Part) -> None:
        """Have the halves of *part* sent next, because the server may have refused one event of several."""
        half = len(part) // 2
        self._pending.extendleft((part[half:], part[:half]))

    def stop(self, error: DeliveryError) -> None:
        """Begin no further request; `run` raises the first *error* when those under way have ended."""
        self._problem = self._problem or error

    async def run(self) -> None:
        """Send all.

        Raises:
            DeliveryError: the first one that a request has ended with.
        """
        workers = min(self._most, len(self._pending))
        if workers <= 1:
            await self._work()
        else:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work())
        problem, self._problem = self._problem, None
        try:
            if problem is not None:
                raise problem
        finally:
            problem = None  # the traceback of the error has this frame, and would form a cycle

    async def _work(self) -> None:
        while self._pending and self._problem is None:
            try:
                await self.send(self._pending.popleft())
            except DeliveryError as error:
                self.stop(error)
