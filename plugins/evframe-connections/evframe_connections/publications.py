"""The messages of a batch on their way, and the outcome of each."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from evframe import Batch


class Publication:
    """Messages on their way.

    Args:
        batch: their events.
        mendable: the reasons that another set-up of the server would mend, for which events that outlive the process
            wait.
        later: the reasons for which all events are sent again.
    """

    def __init__(self, batch: Batch, mendable: Collection[str] = (), later: Collection[str] = ()) -> None:
        self._batch = batch
        self._later = {*later, *mendable} if batch.is_kept else later
        self.open = set(range(len(batch.events)))
        """The indexes of the messages without an outcome."""
        self.failures: dict[int, str] = {}
        """Why messages will not be taken."""
        self.later: dict[int, str] = {}
        """Why messages are to be sent again."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when no message is without an outcome."""

    def settle(self, *indexes: int) -> None:
        """Take that the server has messages."""
        self.open.difference_update(indexes)
        if not self.open:
            self._end()

    def fail(self, index: int, reason: str) -> None:
        """Take that the server does not take a message, for good or for now."""
        if index in self.open:
            (self.later if reason in self._later else self.failures)[index] = reason
            self.settle(index)

    def postpone(self, index: int, reason: str) -> None:
        """Have a message be sent again."""
        if index in self.open:
            self.later[index] = reason
            self.settle(index)

    def lost(self, reason: str) -> None:
        """Have what has no outcome be sent again."""
        self.later.update(dict.fromkeys(self.open, reason))
        self.open.clear()
        self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    @property
    def problem(self) -> str | None:
        """Why the first of the messages that are to be sent again is; None when there is none."""
        return self.later[min(self.later)] if self.later else None

    def report(self) -> None:
        """Report the outcomes to the core; what has none comes back to it."""
        for index, reason in self.failures.items():
            self._batch.fail(index, reason)
        if self.open or self.later:
            others = self.open.union(self.later, self.failures)
            for index in range(len(self._batch.events)):
                if index not in others:
                    self._batch.confirm(index)
