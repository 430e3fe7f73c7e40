"""One stream, consumed for as long as the interface works."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from evframe_ingest import Availability, QueueIntake, Rules
from evframe_wire.backoff import delay_s
from evframe_wire.tls import client_context

from evframe import Unavailable
from evframe.plugin import HostAddress, LateModule, PluginContext, connection_problem
from evframe_nats_consumer.options import ConnectionOptions
from evframe_nats_consumer.pending import Counts, Pending

if TYPE_CHECKING:
    from evframe_nats_consumer.session import Session

GROUP: Final = "nats-consumer"
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
        self.counts = Counts()
        rules = Rules(options.event, tuple(options.events), options.max_events)
        self.intake = QueueIntake(context, options.name, rules)
        self._pending = Pending(self.counts)
        self._hosts = deque(options.endpoints)
        self._resolver = context.resolver
        self._sleep = sleep
        self._availability = Availability(context.status.group(GROUP), options.name, options.url)
        self._library = LateModule("evframe_nats_consumer.library")
        self._session: Session | None = None
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Consume until this is cancelled; then the answers still go out until `stop`."""
        attempt = 0
        for host, _ in self._hosts:
            self._resolver.use(host)
        try:
            while True:
                begun = time.monotonic()
                self._availability.ends(await self._consume())
                cap_s = self.options.retry_timeout_ms / 1000
                attempt = attempt + 1 if time.monotonic() - begun < cap_s else 1
                if attempt % len(self._hosts) == 0 or len(self._hosts) == 1:
                    await self._sleep(delay_s(attempt // len(self._hosts), cap_s))
        finally:
            for host, _ in self._hosts:
                self._resolver.release(host)
            if self._session is not None:
                self._session.take_no_more()

    async def _consume(self) -> str:
        """Consume on one connection, and return why it ended."""
        library = await self._library.get()
        session: Session = library.Session(self.options, self.intake, self._pending, self.counts, self._outcome_known)
        self._session = session
        try:
            tls = None
            if self.options.is_encrypted:
                tls = await asyncio.to_thread(client_context, self.options.ca_file, self.options.cert_file)
            await session.open(self._hosts[0], self._resolver, tls)
            self._availability.begins()
            reason = await session.ended()
        except Unavailable as error:
            reason = error.reason
        except OSError as error:  # of a file of certificates
            reason = connection_problem(error)
        self._hosts.rotate(-1)
        self._session = None
        session.cut()
        return reason

    def _outcome_known(self) -> None:
        self._settled.set()
        if self._session is not None:
            self._session.outcome_known()

    def adopt(self, options: ConnectionOptions) -> None:
        """Use the secrets of *options* for the next login."""
        self.options = options

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Connect again when *host* is the server's, and the connection is to an address that it has no more."""
        if self._session is not None and host == self._hosts[0][0]:
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
        counts, options = self.counts, self.options
        return {
            "name": options.name,
            "servers": options.url,
            "stream": options.stream or "",
            "subject": options.subject or "",
            "consumer": options.consumer,
            "state": self._availability.details,
            "received": counts.received,
            "redelivered": counts.redelivered,
            "raised": self.intake.raised,
            "refused": dict(self.intake.refused),
            "waiting": counts.waiting,
            "acknowledged": counts.answers["ack"],
            "returned": counts.answers["nak"],
            "terminated": counts.answers["term"],
        }
