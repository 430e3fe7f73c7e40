"""One stream, consumed for as long as the interface works."""

from __future__ import annotations

import os
import socket
import uuid
from typing import TYPE_CHECKING, Any

from evframe_ingest import SessionConsumer

from evframe_redis_consumer.entries import Entries
from evframe_redis_consumer.options import ConnectionOptions

if TYPE_CHECKING:
    from evframe_redis_consumer.session import Session


class StreamConsumer(SessionConsumer[ConnectionOptions, "Session"]):
    """Consumes one stream."""

    plugin = "redis-consumer"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.entries = Entries(self.options, self.intake)
        self.consumer = self.options.consumer or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        """The name in the group."""
        self._settled = self.entries.has_room

    @property
    def _waiting(self) -> int:
        return self.entries.counts.waiting

    def _made(self, library: Any) -> Session:
        session: Session = library.Session(self.options, self.consumer, self.entries, self._resolver)
        return session

    async def _open(self, session: Session) -> None:
        await session.open()

    def _reason_of(self, library: Any, error: BaseException) -> str | None:
        return str(library.problem_of(error)) if isinstance(error, Exception) else None

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
