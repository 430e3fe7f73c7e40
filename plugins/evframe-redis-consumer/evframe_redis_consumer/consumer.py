"""One stream, consumed for as long as the interface works."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from evframe_ingest import Availability, QueueIntake, Rules
from evframe_wire.backoff import delay_s

from evframe.plugin import HostAddress, LateModule, PluginContext, comes_from_outside
from evframe_redis_consumer.entries import Entries
from evframe_redis_consumer.options import ConnectionOptions

if TYPE_CHECKING:
    from evframe_redis_consumer.session import Session

GROUP: Final = "redis-consumer"
_SETTLE_S: Final = 0.5


class StreamConsumer:
    """Connects, consumes, and connects again when a connection ends, forever.

    Args:
        options: of the stream.
        context: of the plugin.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        context: PluginContext,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.options = options
        rules = Rules(options.event, tuple(options.events), options.max_events)
        self.intake = QueueIntake(context, options.name, rules)
        self.entries = Entries(options, self.intake)
        self.consumer = options.consumer or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        """The name in the group."""
        self._resolver = context.resolver
        self._sleep = sleep
        self._availability = Availability(context.status.group(GROUP), options.name, options.address)
        self._library = LateModule("evframe_redis_consumer.library")
        self._session: Session | None = None

    async def run(self) -> None:
        """Consume until this is cancelled; then the answers still go out until `stop`."""
        attempt = 0
        self._resolver.use(self.options.endpoint[0])
        try:
            while True:
                begun = time.monotonic()
                self._availability.ends(await self._consume())
                cap_s = self.options.retry_timeout_ms / 1000
                attempt = attempt + 1 if time.monotonic() - begun < cap_s else 1
                await self._sleep(delay_s(attempt, cap_s))
        finally:
            self._resolver.release(self.options.endpoint[0])
            if self._session is not None:
                self._session.take_no_more()

    async def _consume(self) -> str:
        """Consume over new connections, and return why they ended."""
        library = await self._library.get()
        session: Session = library.Session(self.options, self.consumer, self.entries, self._resolver)
        self._session = session
        try:
            await session.open()
            self._availability.begins()
            reason = await session.ended()
        except BaseException as error:
            if comes_from_outside(error) or not isinstance(error, Exception):
                raise
            reason = library.problem_of(error)
        self._session = None
        session.cut()
        return reason

    def adopt(self, options: ConnectionOptions) -> None:
        """Use the secrets of *options* for the next login."""
        self.options = options

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Connect again when *host* is the server's, and a connection is to an address that it has no more."""
        if self._session is not None and host == self.options.endpoint[0]:
            self._session.moved(addresses)

    async def stop(self) -> None:
        """Answer what has its outcome by now, and leave the rest to other consumers."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_S):
                    while self.entries.counts.waiting:
                        self.entries.has_room.clear()
                        await self.entries.has_room.wait()
            await session.close()
        finally:
            session.cut()

    def listed(self) -> dict[str, Any]:
        """Return the state and the counters, for people and programs."""
        counts = self.entries.counts
        return {
            "name": self.options.name,
            "server": self.options.address,
            "stream": self.options.stream,
            "group": self.options.group,
            "consumer": self.consumer,
            "state": self._availability.details,
            "received": counts.received,
            "claimed": counts.claimed,
            "deleted": counts.deleted,
            "raised": self.intake.raised,
            "refused": dict(self.intake.refused),
            "waiting": counts.waiting,
            "retried": counts.retried,
            "acknowledged": counts.answers["ack"],
            "rejected": counts.answers["reject"],
            "dead_letters_refused": dict(counts.unsent),
        }
