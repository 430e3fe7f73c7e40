"""One stream, consumed for as long as the interface works."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from evframe_ingest import SessionConsumer
from evframe_wire.tls import client_context

from evframe_nats_consumer.options import ConnectionOptions
from evframe_nats_consumer.pending import Counts, Pending

if TYPE_CHECKING:
    from evframe_nats_consumer.session import Session


class StreamConsumer(SessionConsumer[ConnectionOptions, "Session"]):
    """Consumes one stream, or a subject."""

    plugin = "nats-consumer"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.counts = Counts()
        self._pending = Pending(self.counts)
        self._hosts = deque(self.options.endpoints)

    @property
    def _waiting(self) -> int:
        return self.counts.waiting

    @property
    def _endpoint(self) -> tuple[str, int]:
        return self._hosts[0]

    def _wait_s(self, attempt: int, cap_s: float) -> float:
        rounds, others = divmod(attempt, len(self._hosts))
        return super()._wait_s(rounds, cap_s) if not others else 0.0

    def _made(self, library: Any) -> Session:
        session: Session = library.Session(self.options, self.intake, self._pending, self.counts, self._outcome_known)
        return session

    async def _open(self, session: Session) -> None:
        tls = None
        if self.options.is_encrypted:
            tls = await asyncio.to_thread(client_context, self.options.ca_file, self.options.cert_file)
        host, port = self._endpoint
        await session.open(host, await self._resolver.addresses(host, port), tls)

    async def _finish(self, library: Any, session: Session, reason: str) -> None:
        self._hosts.rotate(-1)
        await super()._finish(library, session, reason)

    def _outcome_known(self) -> None:
        self._settled.set()
        if self._session is not None:
            self._session.outcome_known()

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
