"""The options of the transport: the table ``[plugins.mqtt]``."""

from __future__ import annotations

from typing import Any

import attrs

from evframe.plugin import at_least, file_digests, is_readable, secret, within
from evframe_mqtt.address import PORTS, server_of


def _server(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        _parts(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


def _parts(text: str) -> tuple[str, str, int]:
    scheme, slashes, authority = text.partition("://")
    if not slashes or scheme not in PORTS or "@" in authority:  # which may have a password, and is not shown
        raise ValueError("expected mqtt://host[:port] or mqtts://host[:port] without a user")
    return server_of(scheme, authority)


@attrs.frozen
class LoginOptions:
    """A login at one server; of several that fit a socket, the first counts."""

    server: str = attrs.field(validator=_server)
    """The server, ``mqtt://host[:port]``, or ``mqtts:`` with TLS."""
    user: str | None = None
    """The user. A socket that names another one does not use this login; a socket that names none has this user."""
    password: str | None = attrs.field(default=None, repr=False, metadata=secret())
    """The password."""
    password_file: str | None = attrs.field(default=None, validator=is_readable)
    """A file that others cannot read, with the password; it is read at every login."""
    cert_file: str | None = attrs.field(default=None)
    """Our own certificate, with its key."""
    for_clients: bool = False
    """Allow run-time clients to subscribe sockets with this login; without it they are refused."""
    contents: tuple[bytes | None, ...] = file_digests("cert_file")

    @property
    def parts(self) -> tuple[str, str, int]:
        """The scheme, the host and the port of the server."""
        return _parts(self.server)

    @password_file.validator
    def _check_file(self, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and self.password is not None:
            raise ValueError(f"{attribute.name}: expected no file beside a password")

    @cert_file.validator
    def _check_certificate(self, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and not self.server.startswith("mqtts:"):
            raise ValueError(f"{attribute.name}: expected a server with mqtts: for a certificate")


@attrs.frozen
class Options:
    """How servers are reached."""

    client_id: str = ""
    """What the names of sessions begin with, such as ``gateway-1``; 16 digits follow, which are new for each
    connection. Without it the server chooses a name."""
    keepalive_s: int = attrs.field(default=10, validator=within(0, 65535))
    """After this time without a word of the server a connection is given up; 0 for never."""
    connect_timeout_ms: int = attrs.field(default=3000, validator=at_least(1))
    """How long making a connection may take, with TLS, once the name is looked up."""
    login_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long a server may take to let us in."""
    timeout_ms: int = attrs.field(default=10_000, validator=at_least(1))
    """How long a server may acknowledge no message, or the kernel take none of QoS 0, before the connection is given
    up."""
    max_in_flight: int = attrs.field(default=8192, validator=within(1, 65535))
    """How many messages of a subscriber may be without an acknowledgement; the server may permit fewer."""
    ca_file: str | None = None
    """The certificates that ``mqtts:`` trusts; those of the system without it."""
    logins: list[LoginOptions] = attrs.field(factory=list)
    """The logins."""
    contents: tuple[bytes | None, ...] = file_digests("ca_file")
