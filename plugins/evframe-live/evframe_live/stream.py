"""One subscriber that connects: its events are written to the connection that it has now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from evframe import Batch, Rejected, Unavailable
from evframe_live.connection import Connection
from evframe_live.leases import Leases
from evframe_live.sockets import LiveSocket

ENDED: Final = "unsubscribed"
"""The reason of events that a stream does not get because it has ended."""


class Stream:
    """A socket with its leases, and its connection.

    A batch is delivered when the kernel has all its bytes.

    Args:
        socket: of the subscriber.
        leases: of the socket.
    """

    def __init__(self, socket: LiveSocket, leases: Leases) -> None:
        self.socket = socket
        self.leases = leases
        """Its leases."""
        self.connection: Connection | None = None
        """What is written to; None until the client is connected, and while it is away."""
        self.is_over = False
        """Whether it has ended."""
        self._changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failed = 0

    def encode(self, batch: Batch) -> bytes:
        """Return what is written for a batch; called once for each batch."""
        raise NotImplementedError

    def confirm(self) -> None:
        """Be notified that the kernel has the last batch."""

    def deliver(self, batch: Batch) -> Awaitable[None] | bool:
        """Write a batch."""
        if self.is_over:
            raise Rejected(ENDED)
        if not batch.events:
            if self.connection is None:
                raise Unavailable("closed")
            return True
        if self.connection is None:
            return self._send_later(batch)
        return self._send(self.connection, batch)

    def _send(self, connection: Connection, batch: Batch) -> Awaitable[None] | bool:
        if not connection.write(self.encode(batch)):
            return self._drain()
        self.confirm()
        return True

    async def _send_later(self, batch: Batch) -> None:
        while self.connection is None:
            await self._change()
        result = self._send(self.connection, batch)
        if not isinstance(result, bool):
            await result

    async def _drain(self) -> None:
        """Wait until the kernel has the batch; a connection that takes the place of a lost one gets it once more."""
        while True:
            connection = self.connection
            if connection is not None and await connection.drained():
                self.confirm()
                return
            while self.connection is connection:
                await self._change()

    async def _change(self) -> None:
        """Wait until the connection is another one.

        Raises:
            Rejected: if the stream has ended.
        """
        if not self.is_over:
            await asyncio.shield(self._changed)
        if self.is_over:
            raise Rejected(ENDED)

    def _announce(self) -> None:
        self._changed.set_result(None)
        self._changed = asyncio.get_running_loop().create_future()

    def attach(self, connection: Connection) -> None:
        """Write to *connection* from now on; one before it is closed."""
        before, self.connection = self.connection, connection
        if before is not None:
            before.close()
        self._announce()

    def detach(self, connection: Connection) -> bool:
        """Write to *connection* no more, which is lost; return whether it was the present one."""
        is_present = self.connection is connection
        if is_present:
            self.connection = None
            self._announce()
        return is_present

    def end(self) -> None:
        """End the connection, and what waits for it; the leases are ended apart."""
        if self.is_over:
            return
        self.is_over = True
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()
        self._announce()

    def lost(self) -> int:
        """Return how many events the subscriber did not get since the last call."""
        subscriber = self.leases.subscriber
        failed = 0 if subscriber is None else subscriber.failed
        before, self._failed = self._failed, failed
        return max(0, failed - before)
