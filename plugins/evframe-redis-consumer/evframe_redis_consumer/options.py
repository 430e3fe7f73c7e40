"""The options of the plugin: the table ``[plugins.redis-consumer]``."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from evframe_redis_clients.addresses import Address

from evframe.plugin import are_named_apart, at_least, is_event_name, is_readable, secret, shown_option, within

Answer = Literal["ack", "retry", "reject"]
"""What is done with an entry: it is acknowledged; its event is raised again; it goes to the dead letters."""


def _url(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        Address.of(value)
    except ValueError as error:  # the text may have a password, and is not shown
        raise ValueError(f"{attribute.name}: {str(error).partition(', got ')[0]}, got another text") from None


def _name(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not 1 <= len(value.encode()) <= 1024:
        raise ValueError(f"{attribute.name}: expected 1 to 1024 bytes, got {value!r}")


def _other_stream(options: ConnectionOptions, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    _name(options, attribute, value)
    if value == options.stream:  # each dead letter would become one again
        raise ValueError(f"{attribute.name}: expected another stream than that of the entries, got {value!r}")


@attrs.frozen
class ConnectionOptions:
    """A consumer of one stream, in a consumer group."""

    stream: str = attrs.field(validator=_name)
    """The stream."""
    name: str = attrs.field(default=attrs.Factory(lambda self: self.stream, takes_self=True))
    """What listings, statuses and the log call this connection; the stream's name without it."""
    url: str = attrs.field(default="redis://127.0.0.1", validator=_url, repr=False, metadata=secret(in_url=True))
    """The server, ``redis[s]://user:password@host:port/database``."""
    password_file: str | None = attrs.field(default=None, validator=is_readable)
    """A file whose first line is the password, read at every login."""
    group: str = attrs.field(default="evframe", validator=_name)
    """The consumer group; its consumers share the entries of the stream."""
    consumer: str | None = attrs.field(default=None, validator=_name)
    """The name of this consumer, which no other one of the group may have; without it, a new one for each process."""
    create: bool = True
    """Make the group, and the stream, where they are missing; without it that is waited for."""
    start: Literal["0", "$"] = "0"
    """Where a group begins that this makes: with the oldest entry, or with those that come after it."""
    event: str | None = attrs.field(default=None, validator=is_event_name)
    """The event of entries that name none; without it such entries are refused."""
    events: list[str] = attrs.field(factory=lambda: ["*"])
    """Patterns of the events that entries may name; an empty list makes every entry a body."""
    max_events: int = attrs.field(default=1000, validator=at_least(0))
    """How many unregistered events may be registered because entries name them."""
    field: str = "payload"
    """The field of an entry that has the notification, the CloudEvent, or the body."""
    ack: Literal["outcome", "at_once"] = "outcome"
    """When an entry is acknowledged: once every delivery of its event has its outcome, or once it is raised."""
    prefetch: int = attrs.field(default=1000, validator=within(1, 65535))
    """How many entries may be without an answer."""
    on_failure: Answer = "ack"
    """What is done with an entry whose event could not be delivered to every subscriber."""
    on_nobody: Answer = "ack"
    """What is done with an entry whose event has no subscriber."""
    on_refused: Literal["ack", "reject"] = "reject"
    """What is done with an entry that becomes no event."""
    retry_delay_ms: int = attrs.field(default=1000, validator=at_least(1))
    """How long it takes until an event is raised again, or a dead letter is sent again."""
    dead_letters: str | None = attrs.field(default=None, validator=_other_stream)
    """The stream of entries that are rejected; without it they are gone."""
    max_deliveries: int = attrs.field(default=0, validator=at_least(0))
    """An entry that consumers have left behind more often than this is refused; 0 for never."""
    claim_idle_ms: int = attrs.field(default=60_000, validator=at_least(100))
    """How long a consumer of the group may say nothing before its entries are taken over."""
    client_name: str = attrs.field(default="evframe-consumer", validator=attrs.validators.matches_re(r"[!-~]*"))
    """What ``CLIENT LIST`` calls the connections; empty for no name."""
    connect_timeout_ms: int = attrs.field(default=500, validator=at_least(1))
    """How long making a connection may take, with TLS, once the name is looked up."""
    login_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long a server may take to let us in."""
    timeout_ms: int = attrs.field(default=10_000, validator=at_least(1))
    """How long a server may take to answer before the connection is given up."""
    retry_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """The longest wait between two attempts to connect; it begins with much shorter ones."""
    ca_file: str | None = attrs.field(default=None, validator=is_readable)
    """The certificates that ``rediss`` trusts; those of the system without it."""
    cert_file: str | None = attrs.field(default=None, validator=is_readable)
    """Our own certificate, with its key."""

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port of the server."""
        return Address.of(self.url).endpoint

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The same as those of all servers."""
        return (self.endpoint,)

    @property
    def address(self) -> str:
        """The server without the password."""
        return shown_option(self.url, lambda url: Address.of(url).shown)


@attrs.frozen
class Options:
    """The streams."""

    connections: list[ConnectionOptions] = attrs.field(factory=list, validator=are_named_apart)
    """The streams that are consumed."""
