"""The connection to one server, which subscribers with the same login share."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import deque
from collections.abc import Sequence

from evframe_nats_clients.connection import Settings, connect
from evframe_nats_clients.logins import LoginOptions

from evframe import Unavailable
from evframe.plugin import Age, HostAddress, Resolver
from evframe_nats.address import NatsSocket
from evframe_nats.link import NO_STREAM, Link
from evframe_nats.options import Options
from evframe_nats.publications import Publication


class Server:
    """Connects when it is needed.

    Args:
        target: one of the sockets.
        options: of the plugin.
        login: how the server lets us in.
        tls: what certificates are checked with; None without TLS.
        resolver: looks names up.
    """

    def __init__(
        self, target: NatsSocket, options: Options, login: LoginOptions, tls: ssl.SSLContext | None, resolver: Resolver
    ) -> None:
        self._hosts = deque(target.endpoints)
        """The next one to try is the first: the one that works stays there."""
        self._options = options
        self._resolver = resolver
        self._settings = Settings(
            options.connection_name,
            options.connect_timeout_ms / 1000,
            options.login_timeout_ms / 1000,
            options.heartbeat_s,
            login,
            tls,
        )
        self._timeout_s = options.timeout_ms / 1000
        self._link: Link | None = None
        self._age = Age()
        self._connecting = asyncio.Lock()
        self._ends: set[asyncio.Task[None]] = set()
        self.users: set[str] = set()
        """The subscribers that share the connection."""

    async def link(self) -> Link:
        """Return the connection, a new one where none is usable.

        Raises:
            Unavailable: if there is none.
        """
        async with self._connecting:
            if self._link is not None and self._link.is_usable:
                return self._link
            self.retire()
            for left in reversed(range(len(self._hosts))):
                try:
                    self._link = await self._connect()
                    break
                except Unavailable:
                    self._hosts.rotate(-1)
                    if not left:
                        raise
            assert self._link is not None
            self._age.begins(self._options.max_connection_age_s, self.retire)
            return self._link

    async def _connect(self) -> Link:
        link = Link(f"{self._settings.login.inbox_prefix}.{secrets.token_urlsafe(16)}")
        link.begin(await connect(self._hosts[0], self._resolver, self._settings, link.receive, link.denied))
        return link

    async def probe(self, target: NatsSocket) -> None:
        """Return when the server answers, and a stream has the subject.

        Raises:
            Unavailable: otherwise.
        """
        link = await self.link()
        await link.connection.flushed(self._timeout_s)
        is_known = target.template is None and not target.core
        if is_known and await link.has_stream(target.subject, min(1.0, self._timeout_s)) is False:
            raise Unavailable(NO_STREAM)

    async def confirmed(self, link: Link, target: NatsSocket, publication: Publication) -> None:
        """Wait until each message of *publication* has its outcome, or is to be sent again."""
        await link.confirmed(publication, self._timeout_s, core=target.core)
        if target.template is not None:
            homeless = {index for index, reason in publication.later.items() if reason == NO_STREAM}
            # A subject that an event makes may never have a stream, which must not hold up the events behind it.
            for subject in {publication.subjects[index] for index in homeless}:
                if await link.has_stream(subject, min(1.0, self._timeout_s)) is False:
                    for index in homeless:
                        if publication.subjects[index] == subject:
                            del publication.later[index]
                            publication.failures[index] = "unroutable"

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Use another connection from now on when the one at hand is to an address that *host* has no more."""
        ip = self._link.connection.address if self._link is not None else None
        if ip is not None and self._hosts[0][0] == host and all(address.ip != ip for address in addresses):
            self.retire()

    def retire(self) -> None:
        """Use another connection from now on; this one ends when what was published on it has its outcome."""
        link, self._link = self._link, None
        self._age.ends()
        if link is not None:
            link.is_retired = True
            task = asyncio.get_running_loop().create_task(self._finish(link))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def _finish(self, link: Link) -> None:
        try:
            under_way = [publication.done for publication in link.under_way]
            if under_way:
                await asyncio.wait(under_way, timeout=self._timeout_s)
        finally:
            link.end("closed")

    async def release(self, canonical: str) -> None:
        """Close the connection with its last subscriber."""
        self.users.discard(canonical)
        if not self.users:
            self._age.ends()
            link, self._link = self._link, None
            if link is not None:
                link.end("closed")
            for task in list(self._ends):
                task.cancel()
            await asyncio.gather(*self._ends, return_exceptions=True)
