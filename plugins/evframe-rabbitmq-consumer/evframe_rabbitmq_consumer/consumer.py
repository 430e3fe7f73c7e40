"""One queue, consumed for as long as the interface works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evframe_ingest import SessionConsumer

from evframe_rabbitmq_consumer.counts import Counts
from evframe_rabbitmq_consumer.options import ConnectionOptions

if TYPE_CHECKING:
    from evframe_rabbitmq_consumer.session import Session


class QueueConsumer(SessionConsumer[ConnectionOptions, "Session"]):
    """Consumes one queue."""

    plugin = "rabbitmq-consumer"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.counts = Counts()

    @property
    def _waiting(self) -> int:
        return self.counts.waiting

    async def _prepare(self) -> None:
        """Wait until what came on connections that are lost has its outcomes, or the most of it."""
        await self._until_waiting(self.options.prefetch // 2)

    def _made(self, library: Any) -> Session:
        session: Session = library.Session(self.options, self.intake, self.counts, self._settled)
        return session

    async def _open(self, session: Session) -> None:
        await session.open(self.options.prefetch - self.counts.waiting, self._resolver)

    def _reason_of(self, library: Any, error: BaseException) -> str | None:
        return str(library.reason_of(error))

    async def _finish(self, library: Any, session: Session, reason: str) -> None:
        if reason in {library.CANCELLED, library.MOVED}:
            await session.close()  # the connection is fine, and takes the answers to what has come
        else:
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
