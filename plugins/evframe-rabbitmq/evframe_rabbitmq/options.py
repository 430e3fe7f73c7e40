"""The options of the transport: the table ``[plugins.rabbitmq]``."""

from __future__ import annotations

from typing import Literal

import attrs
from evframe_cloudevents import BinaryFormatOptions

from evframe.plugin import at_least, file_digests, within


@attrs.frozen
class Options:
    """How brokers are reached."""

    connection_name: str = "evframe"
    """What listings of the broker, such as those of its management plugin, call our connections."""
    heartbeat_s: int = attrs.field(default=10, validator=within(0, 65535, "seconds"))
    """How often an idle connection is shown to live; 0 for never."""
    connect_timeout_ms: int = attrs.field(default=500, validator=at_least(1))
    """How long making a TCP connection may take, with the look-up of its name."""
    login_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long a broker may take to let us in, and to open a channel."""
    timeout_ms: int = attrs.field(default=10_000, validator=at_least(1))
    """How long a broker may take to confirm a message before the connection is given up."""
    max_connection_age_s: float = attrs.field(default=0.0, validator=at_least(0))
    """After how long a connection is exchanged for a new one, losing nothing; 0 for never."""
    use_tls: bool = False
    """Allow ``tls`` in sockets; without it such a socket is refused."""
    ca_file: str | None = None
    """The certificates that ``tls`` trusts; those of the system without it."""
    cert_file: str | None = None
    """Our own certificate, with its key."""
    max_in_flight: int = attrs.field(default=8192, validator=at_least(1))
    """How many messages of a subscriber may be without a confirmation."""
    format: Literal["jsonrpc", "cloudevents", "cloudevents-structured"] = "jsonrpc"
    """What a message has: the notification of JSON-RPC, a CloudEvent with its attributes in headers, or one in JSON."""
    formats: list[BinaryFormatOptions] = attrs.field(factory=list)
    """The formats of some of the subscribers."""
    contents: tuple[bytes | None, ...] = file_digests("ca_file", "cert_file")
