"""One queue, consumed for as long as the interface works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from evframe_ingest import Availability, QueueIntake, Rules
from evframe_wire.backoff import delay_s

from evframe.plugin import HostAddress, LateModule, PluginContext, comes_from_outside
from evframe_rabbitmq_consumer.counts import Counts
from evframe_rabbitmq_consumer.options import ConnectionOptions

if TYPE_CHECKING:
    from evframe_rabbitmq_consumer.session import Session

GROUP: Final = "rabbitmq-consumer"
_SETTLE_S: Final = 0.5


class QueueConsumer:
    """Connects, consumes, and connects again when a connection ends, forever.

    Args:
        options: of the queue.
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
        self.counts = Counts()
        self.intake = QueueIntake(
            context, options.name, Rules(options.event, tuple(options.events), options.max_events)
        )
        self._resolver = context.resolver
        self._sleep = sleep
        self._availability = Availability(context.status.group(GROUP), options.name, options.address)
        self._library = LateModule("evframe_rabbitmq_consumer.library")
        self._session: Session | None = None
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Consume until this is cancelled; then the answers still go out until `stop`."""
        attempt = 0
        self._resolver.use(self.options.endpoint[0])
        try:
            while True:
                await self._room()
                begun = time.monotonic()
                self._availability.ends(await self._consume())
                cap_s = self.options.retry_timeout_ms / 1000
                attempt = attempt + 1 if time.monotonic() - begun < cap_s else 1
                await self._sleep(delay_s(attempt, cap_s))
        finally:
            self._resolver.release(self.options.endpoint[0])
            if self._session is not None:
                self._session.take_no_more()

    async def _room(self) -> None:
        """Wait until what came on connections that are lost has its outcomes, or the most of it."""
        while self.counts.waiting > self.options.prefetch // 2:
            self._settled.clear()
            await self._settled.wait()

    async def _consume(self) -> str:
        """Consume on one connection, and return why it ended."""
        library = await self._library.get()
        session: Session = library.Session(self.options, self.intake, self.counts, self._settled)
        self._session = session
        try:
            await session.open(self.options.prefetch - self.counts.waiting, self._resolver)
            self._availability.begins()
            reason = await session.ended()
        except BaseException as error:  # whatever the library makes of what the broker does, cancellations too
            if comes_from_outside(error):
                raise
            reason = library.reason_of(error)
        self._session = None
        if reason in {library.CANCELLED, library.MOVED}:
            await session.close()  # the connection is fine, and takes the answers to what has come
        else:
            session.cut()
        return reason

    def adopt(self, options: ConnectionOptions) -> None:
        """Use the secrets of *options* for the next login."""
        self.options = options

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Connect again when *host* is the broker's, and the connection is to an address that it has no more."""
        if self._session is not None and host == self.options.endpoint[0]:
            self._session.moved(addresses)

    async def stop(self) -> None:
        """Answer what has its outcome by now, and end the connection: the rest comes again."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_S):
                    while self.counts.waiting:
                        self._settled.clear()
                        await self._settled.wait()
            await session.close()
        finally:
            session.cut()

    def listed(self) -> dict[str, Any]:
        """Return the state and the counters, for people and programs."""
        counts = self.counts
        return {
            "name": self.options.name,
            "broker": self.options.address,
            "queue": self.options.queue,
            "state": self._availability.details,
            "received": counts.received,
            "redelivered": counts.redelivered,
            "raised": self.intake.raised,
            "refused": dict(self.intake.refused),
            "waiting": counts.waiting,
            "acknowledged": counts.answers["ack"],
            "requeued": counts.answers["requeue"],
            "rejected": counts.answers["reject"],
        }
