"""A batch on its way over a connection."""

from __future__ import annotations

import asyncio

from evframe import Batch


class Chunk:
    """The messages of one batch on their way, and the future that ends with the batch."""

    __slots__ = ("batch", "end", "first_id", "future", "is_meta", "messages", "missing", "size")

    def __init__(self, batch: Batch, messages: list[bytes], first_id: int = 0) -> None:
        self.batch = batch
        self.messages = messages
        self.size = sum(map(len, messages))
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.end = 0  # where it ends on the connection; 0 before it is written
        self.first_id = first_id
        self.missing = len(messages)
        self.is_meta = all(event.definition.is_meta for event in batch.events)

    @property
    def data(self) -> bytes:
        """The messages as they are written."""
        return b"".join(self.messages)

    def settle(self) -> None:
        """Report that every event has its outcome."""
        if not self.future.done():
            self.future.set_result(None)

    def give_back(self, error: Exception) -> None:
        """Report that the events which have no outcome can be tried again."""
        if not self.future.done():
            self.future.set_exception(error)
