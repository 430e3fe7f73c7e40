"""The options of the plugin: the table ``[plugins.nats-consumer]``."""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs
from evframe_nats_clients.logins import DEFAULT_PORT, LoginOptions
from evframe_options import matching
from evframe_wire.addresses import without_brackets

from evframe import split_host_port
from evframe.plugin import are_named_apart, at_least, is_event_name, is_readable, within

Answer = Literal["ack", "nak", "term"]
"""The answer that the server gets for a message: it is done; it comes again; it is done, and the server reports it."""
_NAME: Final = matching(r"[^\s.*>/\\\x00-\x20\x7f]{1,255}", "a name without blanks, dots, slashes and wildcards")
_SUBJECT: Final = matching(r"[^\s.\x00-\x20\x7f]+(\.[^\s.\x00-\x20\x7f]+)*", "a subject")


def _hosts(url: str) -> tuple[tuple[str, int], ...]:
    scheme, _, hosts = url.partition("://")
    if scheme not in {"nats", "tls"}:
        raise ValueError("expected nats or tls as the scheme")
    found = (each if ":" in each.rpartition("]")[2] else f"{each}:{DEFAULT_PORT}" for each in hosts.split(","))
    return tuple((without_brackets(host), port) for host, port in map(split_host_port, found))


def _is_url(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    try:
        fits = "@" not in value and bool(_hosts(value))
    except ValueError:
        fits = False
    if not fits:  # which may have a password, and is not shown
        raise ValueError(f"{attribute.name}: expected nats://host[:port][,host[:port]…], or tls://, got another text")


@attrs.frozen(kw_only=True)
class ConnectionOptions(LoginOptions):
    """One consumer of a stream, or one subject without JetStream, on one connection."""

    stream: str | None = attrs.field(default=None, validator=_NAME)
    """The stream; without it, messages of ``subject`` are taken as they come."""
    subject: str | None = attrs.field(default=None, validator=_SUBJECT)
    """The subject, with wildcards; of a stream those of its messages that are consumed, all without it."""
    consumer: str = attrs.field(default="evframe", validator=_NAME)
    """The durable consumer of the stream; without a stream, the queue group."""
    name: str = attrs.field(default=attrs.Factory(lambda self: self.stream or self.subject or "", takes_self=True))
    """What listings, statuses and the log call this connection; the name of the stream, or the subject, without it."""
    url: str = attrs.field(default="nats://localhost:4222", validator=_is_url)
    """The servers, as ``nats://host:port,host:port``, or ``tls://`` with TLS."""
    event: str | None = attrs.field(default=None, validator=is_event_name)
    """The event of messages that name none; without it such messages are refused."""
    events: list[str] = attrs.field(factory=lambda: ["*"])
    """Patterns of the events that messages may name; an empty list makes every message a body."""
    max_events: int = attrs.field(default=1000, validator=at_least(0))
    """How many unregistered events may be registered because messages name them."""
    ack: Literal["outcome", "at_once"] = "outcome"
    """When a message is acknowledged: once every delivery of its event has its outcome, or once it is raised."""
    prefetch: int = attrs.field(default=1000, validator=within(1, 65535))
    """How many messages may be without an answer."""
    on_failure: Answer = "ack"
    """What is done with a message whose event could not be delivered to every subscriber."""
    on_nobody: Answer = "ack"
    """What is done with a message whose event has no subscriber."""
    on_refused: Literal["ack", "term"] = "term"
    """What is done with a message that becomes no event."""
    nak_delay_ms: int = attrs.field(default=1000, validator=at_least(1))
    """After how long a message comes again that is answered with ``nak``."""
    declare: bool = True
    """Make the consumer when the stream has none of its name; without it that is waited for."""
    deliver: Literal["all", "new"] = "all"
    """What a consumer that is made begins with: the first message of the stream, or those that come after it."""
    ack_wait_ms: int = attrs.field(default=30_000, validator=at_least(100))
    """Of a consumer that is made: when a message without a sign of life comes again."""
    heartbeat_s: int = attrs.field(default=10, validator=within(1, 3600, "seconds"))
    """How often the connection, and the server's side of the consumer, are shown to live."""
    connect_timeout_ms: int = attrs.field(default=500, validator=at_least(1))
    """How long making a connection may take, once the name is looked up."""
    login_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long a server may take to let us in, with TLS, and to begin."""
    retry_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """The longest wait between two attempts to connect; it begins with much shorter ones."""
    ca_file: str | None = attrs.field(default=None, validator=is_readable)
    """The certificates that ``tls`` trusts; those of the system without it."""
    cert_file: str | None = attrs.field(default=None, validator=is_readable)
    """Our own certificate, with its key."""

    def __attrs_post_init__(self) -> None:
        if self.stream is None and (self.subject is None or self.ack == "outcome"):
            raise ValueError("stream: expected either a stream, or a subject with ack = 'at_once', got neither")

    @property
    def address(self) -> str:
        """The servers as people see them."""
        return self.url

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports of the servers."""
        return _hosts(self.url)

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection has TLS."""
        return self.url.startswith("tls:")


@attrs.frozen
class Options:
    """The streams."""

    connections: list[ConnectionOptions] = attrs.field(factory=list, validator=are_named_apart)
    """The streams, and subjects, that are consumed."""
