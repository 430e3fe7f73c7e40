"""The servers of one login, whose connection subscribers share."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from evframe_connections import Server as Connecting
from evframe_nats_clients.connection import Settings, connect
from evframe_nats_clients.logins import LoginOptions

from evframe.plugin import HostAddress, Resolver
from evframe_nats.address import NatsSocket
from evframe_nats.link import Link
from evframe_nats.options import Options


class Server(Connecting[Link]):
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
        super().__init__(target.endpoints, resolver, options.timeout_ms / 1000, options.max_connection_age_s)
        self._settings = Settings(
            options.connection_name,
            options.connect_timeout_ms / 1000,
            options.login_timeout_ms / 1000,
            options.heartbeat_s,
            login,
            tls,
        )

    async def _connect(self, host: str, addresses: Sequence[HostAddress]) -> Link:
        link = Link(self._settings.login.inbox_prefix, self._timeout_s)
        link.begin(await connect(host, addresses, self._settings, link.receive, link.denied))
        return link
