"""How a connection is made, and who logs in."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import mqtt5

NEVER: int = 2**32 - 1
"""The session expiry of a session that does not expire, in seconds."""


@attrs.frozen
class Login:
    """What a connection is made with."""

    host: str
    """The name that the certificate of the server has to have."""
    client_id: str = ""
    """The name of the session; the server chooses one for an empty text."""
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    """What certificates are checked with; None without TLS."""
    keepalive_s: int = 10
    """After this time without a word of the server the connection is given up; 0 for never."""
    connect_timeout_s: float = 3.0
    """How long making the connection may take."""
    timeout_s: float = 5.0
    """How long the server may take to answer the login."""
    clean_start: bool = True
    """Whether the server forgets an earlier session."""
    session_expiry_s: int = 0
    """How long the server keeps the session after the connection; `NEVER` for ever."""
    receive_max: int = 65535
    """How many messages the server may send without an acknowledgement."""

    def packet(self) -> mqtt5.ConnectPacket:
        """Return the packet of the login."""
        import mqtt5  # noqa: PLC0415 a configuration alone does not need the library

        return mqtt5.ConnectPacket(
            self.client_id,
            username=self.user,
            password=None if self.password is None else self.password.encode(),
            clean_start=self.clean_start,
            keep_alive=self.keepalive_s,
            session_expiry_interval=self.session_expiry_s,
            receive_max=self.receive_max,
        )
