"""The options of the transport: the table ``[plugins.nats]``."""

from __future__ import annotations

from typing import Any

import attrs
from evframe_nats_clients.logins import LoginOptions

from evframe.plugin import at_least, file_digests, within
from evframe_nats.address import NatsSocket, Pattern


def _pattern(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    try:
        Pattern.of(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


@attrs.frozen(kw_only=True)
class ServerOptions(LoginOptions):
    """How the servers of a URL let us in; of several entries, the first that fits."""

    url: str = attrs.field(validator=_pattern)
    """The servers, as ``nats://host:port/subject`` with ``*`` for any text within the host or the subject, or ``*``
    alone. Without a port it is 4222, without a subject any subject."""
    for_clients: bool = False
    """Allow run-time clients to subscribe sockets with this login; without it they are refused."""


@attrs.frozen
class Options:
    """How servers are reached."""

    connection_name: str = "evframe"
    """What listings of the server, such as its ``connz``, call our connections."""
    heartbeat_s: int = attrs.field(default=10, validator=within(0, 65535, "seconds"))
    """How often an idle connection is shown to live; 0 for never."""
    connect_timeout_ms: int = attrs.field(default=500, validator=at_least(1))
    """How long making a TCP connection may take, once the name is looked up."""
    login_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long a server may take to let us in, with TLS."""
    timeout_ms: int = attrs.field(default=10_000, validator=at_least(1))
    """How long a server may take to acknowledge a message before that is sent again."""
    max_connection_age_s: float = attrs.field(default=0.0, validator=at_least(0))
    """After how long a connection is exchanged for a new one, losing nothing; 0 for never."""
    max_in_flight: int = attrs.field(default=4096, validator=at_least(1))
    """How many messages of a subscriber may be without an acknowledgement; a stream takes 10,000 of all clients."""
    ca_file: str | None = None
    """The certificates that ``tls`` trusts; those of the system without it."""
    cert_file: str | None = None
    """Our own certificate, with its key."""
    servers: list[ServerOptions] = attrs.field(factory=list)
    """How servers let us in: users, tokens and files of credentials."""
    contents: tuple[bytes | None, ...] = file_digests("ca_file", "cert_file")

    def login(self, target: NatsSocket) -> ServerOptions | None:
        """Return how the servers of *target* let us in; None where its user is in no entry that fits."""
        for each in self.servers:
            if target.user in {None, each.user} and Pattern.of(each.url).fits(target):
                return each
        return ServerOptions(url="*", for_clients=True) if target.user is None else None
