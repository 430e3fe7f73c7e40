"""One WebSocket: a subscriber, and a client whose requests are answered in order."""

from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar, copy_context
from typing import Final

from evframe_live import Leases, LiveSocket, Stream

from evframe import Batch
from evframe_websocket.frames import notification, text

CURRENT: Final[ContextVar[Channel | None]] = ContextVar("CURRENT", default=None)
"""The connection whose request is being answered."""


class Channel(Stream):
    """See `evframe_live.stream.Stream`.

    Args:
        socket: of the subscriber.
        leases: of the socket.
        most: how many requests may wait for their answers.
    """

    def __init__(self, socket: LiveSocket, leases: Leases, most: int) -> None:
        super().__init__(socket, leases)
        self.context: Context = copy_context()
        """What its requests are run in."""
        self.context.run(CURRENT.set, self)
        self.answers: asyncio.Queue[asyncio.Future[bytes | None]] = asyncio.Queue(most)
        """Those of its requests, in order."""
        self.seen_at = asyncio.get_running_loop().time()
        """When the last message or sign of life has come."""
        self.is_held = False
        """Whether no message is read, because those before wait for their answers."""

    def encode(self, batch: Batch) -> bytes:
        """Return a notification for each event, each in a frame."""
        lost = self.lost()
        before = notification("stream:gap", lost=lost) if lost else b""
        return before + b"".join([text(event.payload) for event in batch.events])

    async def answer(self) -> None:
        """Send the answers, each when the client has taken those before."""
        while True:
            answer = await (await self.answers.get())
            connection = self.connection
            if answer is not None and connection is not None and not connection.write(text(answer)):
                await connection.drained()
