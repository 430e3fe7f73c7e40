"""One session, consumed for as long as the interface works."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from evframe_ingest import Availability, QueueIntake, Rules
from evframe_mqtt_clients.login import Login
from evframe_mqtt_clients.reasons import ACCESS_REFUSED
from evframe_wire.addresses import connection_problem
from evframe_wire.backoff import delay_s
from evframe_wire.tls import client_context

from evframe import Unavailable
from evframe.plugin import HostAddress, LateModule, PluginContext
from evframe_mqtt_consumer.counts import Counts
from evframe_mqtt_consumer.options import ConnectionOptions

if TYPE_CHECKING:
    from evframe_mqtt_consumer.session import Session

log = logging.getLogger("evframe.mqtt-consumer")
GROUP: Final = "mqtt-consumer"
_SETTLE_S: Final = 0.5


class SessionConsumer:
    """Connects, consumes, and connects again when a connection ends, forever.

    Args:
        options: of the session.
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
        self._library = LateModule("evframe_mqtt_consumer.library")
        self._session: Session | None = None
        self._settled = asyncio.Event()
        self._is_first = True

    async def run(self) -> None:
        """Consume until this is cancelled; then acknowledgements still go out until `stop`."""
        attempt = 0
        host, _ = self.options.endpoint
        self._resolver.use(host)
        try:
            while True:
                await self._room()
                begun = time.monotonic()
                self._availability.ends(await self._consume())
                cap_s = self.options.retry_timeout_ms / 1000
                attempt = attempt + 1 if time.monotonic() - begun < cap_s else 1
                await self._sleep(delay_s(attempt, cap_s))
        finally:
            self._resolver.release(host)
            if self._session is not None:
                self._session.take_no_more()

    async def _room(self) -> None:
        """Wait until what came on connections that are lost has its outcomes, or the most of it."""
        while self.counts.waiting > self.options.receive_max // 2:
            self._settled.clear()
            await self._settled.wait()

    async def _consume(self) -> str:
        """Consume on one connection, and return why it ended."""
        library = await self._library.get()
        session: Session = library.Session(self.options, self.intake, self.counts, self._settled)
        self._session = session
        host, port = self.options.endpoint
        reason = ""
        try:
            tls = None
            if self.options.has_tls:
                tls = await asyncio.to_thread(client_context, self.options.ca_file, self.options.cert_file)
            is_kept = await session.open(self._login(host, tls), await self._resolver.addresses(host, port))
            if not is_kept and not self._is_first and self.options.session_expiry_s:
                log.warning("a server has not kept a session", extra={"source": self.options.name})
            self._is_first = False
            self._availability.begins()
            reason = await session.ended()
        except Unavailable as error:
            self._resolver.forget(host)
            reason = error.reason
        except OSError as error:  # of a file
            reason = connection_problem(error)
        except UnicodeDecodeError:  # of the password's, which may be another one at the next login
            reason = ACCESS_REFUSED
        self._session = None
        # A connection that is fine takes the acknowledgements of what has come.
        await session.close()
        return reason

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

    def adopt(self, options: ConnectionOptions) -> None:
        """Use the secrets of *options* for the next login."""
        self.options = options

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Connect again when *host* is the server's, and the connection is to an address that it has no more."""
        if self._session is not None and host == self.options.endpoint[0]:
            self._session.moved(addresses)

    async def stop(self) -> None:
        """Acknowledge what has its outcome by now, and end the connection: the rest comes again."""
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
