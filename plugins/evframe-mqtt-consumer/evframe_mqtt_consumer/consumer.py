"""One session, consumed for as long as the interface works."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any

from evframe_ingest import SessionConsumer
from evframe_mqtt_clients.login import Login
from evframe_mqtt_clients.reasons import ACCESS_REFUSED
from evframe_wire.tls import client_context

from evframe_mqtt_consumer.counts import Counts
from evframe_mqtt_consumer.options import ConnectionOptions

if TYPE_CHECKING:
    from evframe_mqtt_consumer.session import Session

log = logging.getLogger("evframe.mqtt-consumer")


class FilterConsumer(SessionConsumer[ConnectionOptions, "Session"]):
    """Consumes what topic filters match, over one connection after another."""

    plugin = "mqtt-consumer"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.counts = Counts()
        self._is_first = True

    @property
    def _waiting(self) -> int:
        return self.counts.waiting

    async def _prepare(self) -> None:
        """Wait until what came on connections that are lost has its outcomes, or the most of it."""
        await self._until_waiting(self.options.receive_max // 2)

    def _made(self, library: Any) -> Session:
        session: Session = library.Session(self.options, self.intake, self.counts, self._settled)
        return session

    async def _open(self, session: Session) -> None:
        host, port = self._endpoint
        tls = None
        if self.options.has_tls:
            tls = await asyncio.to_thread(client_context, self.options.ca_file, self.options.cert_file)
        is_kept = await session.open(self._login(host, tls), await self._resolver.addresses(host, port))
        if not is_kept and not self._is_first and self.options.session_expiry_s:
            log.warning("a server has not kept a session", extra={"source": self.options.name})
        self._is_first = False

    def _reason_of(self, library: Any, error: BaseException) -> str | None:
        if isinstance(error, UnicodeDecodeError):  # of the password's, which may be another one at the next login
            return ACCESS_REFUSED
        return super()._reason_of(library, error)

    async def _finish(self, library: Any, session: Session, reason: str) -> None:  # noqa: ARG002 others need them
        # A connection that is fine takes the acknowledgements of what has come.
        await session.close()

    def _login(self, host: str, tls: ssl.SSLContext | None) -> Login:
        options = self.options
        user, password = options.credentials
        if options.password_file is not None:
            with open(options.password_file, encoding="utf-8") as file:
                password = file.readline().rstrip("\r\n")
        return Login(
            host,
            options.client_id,
            user,
            password,
            tls,
            options.keepalive_s,
            options.connect_timeout_ms / 1000,
            options.login_timeout_ms / 1000,
            options.clean_start and self._is_first,
            options.session_expiry_s,
            options.receive_max - self.counts.waiting,
        )

    def listed(self) -> dict[str, Any]:
        """Return the state and the counters, for people and programs."""
        counts = self.counts
        return {
            "name": self.options.name,
            "server": self.options.address,
            "client_id": self.options.client_id,
            "filters": self.options.filters,
            "state": self._availability.details,
            "received": counts.received,
            "redelivered": counts.redelivered,
            "dropped": counts.dropped,
            "raised": self.intake.raised,
            "refused": dict(self.intake.refused),
            "waiting": counts.waiting,
            "retried": counts.retried,
            "acknowledged": counts.acknowledged,
        }
