"""The options of the transport: the table ``[plugins.redis]``."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least, file_digests


@attrs.frozen
class Options:
    """How servers are reached."""

    client_name: str = attrs.field(default="evframe", validator=attrs.validators.matches_re(r"[!-~]*"))
    """What ``CLIENT LIST`` calls our connections; empty for no name."""
    connect_timeout_ms: int = attrs.field(default=500, validator=at_least(1))
    """How long making a connection may take, with TLS, once the name is looked up."""
    login_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long a server may take to let us in."""
    timeout_ms: int = attrs.field(default=10_000, validator=at_least(1))
    """How long a server may take to answer for a batch, or for 1 MiB of it, before the connection is given up."""
    ca_file: str | None = None
    """The certificates that ``rediss:`` trusts; those of the system without it."""
    cert_file: str | None = None
    """Our own certificate, with its key, which ``rediss:`` shows to each server."""
    contents: tuple[bytes | None, ...] = file_digests("ca_file", "cert_file")
