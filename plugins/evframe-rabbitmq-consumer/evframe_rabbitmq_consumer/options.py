"""The options of the plugin: the table ``[plugins.rabbitmq-consumer]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from evframe.plugin import are_named_apart, at_least, is_event_name, is_readable, secret, shown_option, within

if TYPE_CHECKING:
    from yarl import URL

_PORTS: Final = {"amqp": 5672, "amqps": 5671}
Answer = Literal["ack", "requeue", "reject"]
"""The answer that the broker gets for a message: it is done; it comes again; it goes to the dead letters."""


def _url(text: str) -> URL:
    """Return *text* as a URL; a configuration without a connection does not need the library."""
    from yarl import URL  # noqa: PLC0415 as above

    return URL(text)


def _uri(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    form = "amqp[s]://[user[:password]@]host[:port][/vhost]"
    try:
        uri = _url(value)
        fits = uri.scheme in {"amqp", "amqps"} and bool(uri.host) and not uri.query_string and not uri.fragment
    except ValueError:
        fits = False
    if not fits:  # which may have a password, and is not shown
        raise ValueError(f"{attribute.name}: expected {form}, got another text")


def _queue(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not 1 <= len(value.encode()) <= 255:
        raise ValueError(f"{attribute.name}: expected 1 to 255 bytes, got {value!r}")


@attrs.frozen
class ConnectionOptions:
    """One queue, on one connection."""

    queue: str = attrs.field(validator=_queue)
    """The queue."""
    name: str = attrs.field(default=attrs.Factory(lambda self: self.queue, takes_self=True))
    """What listings, statuses and the log call this connection; the queue's name without it."""
    connection_name: str = attrs.field(default=attrs.Factory(lambda self: f"evframe {self.name}", takes_self=True))
    """What listings of the broker, such as those of its management plugin, call the connection; ``evframe`` and the
    ``name`` without it."""
    uri: str = attrs.field(
        default="amqp://guest:guest@localhost:5672/", validator=_uri, repr=False, metadata=secret(in_url=True)
    )
    """The broker, ``amqp[s]://user:password@host:port/vhost``; a part that is left out is as in the default."""
    password_file: str | None = attrs.field(default=None, validator=is_readable)
    """A file whose first line is the password, read at every login."""
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
    on_refused: Literal["ack", "reject"] = "reject"
    """What is done with a message that becomes no event."""
    requeue_delay_ms: int = attrs.field(default=1000, validator=at_least(1))
    """How long a message is held before it is put back into its queue."""
    declare: bool = False
    """Make the queue, as a durable one, when it is not there; without it that is waited for."""
    exclusive: bool = False
    """Let no other client consume the queue."""
    heartbeat_s: int = attrs.field(default=10, validator=within(0, 65534))
    """How often an idle connection is shown to live; 0 for never."""
    connect_timeout_ms: int = attrs.field(default=500, validator=at_least(1))
    """How long making a connection may take, with the look-up of its name and TLS."""
    login_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long a broker may take to let us in, and to begin."""
    retry_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """The longest wait between two attempts to connect; it begins with much shorter ones."""
    ca_file: str | None = attrs.field(default=None, validator=is_readable)
    """The certificates that ``amqps`` trusts; those of the system without it."""
    cert_file: str | None = attrs.field(default=None, validator=is_readable)
    """Our own certificate, with its key."""

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port of the broker."""
        uri = _url(self.uri)
        return uri.host or "", uri.port or _PORTS[uri.scheme]

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The same as those of all brokers."""
        return (self.endpoint,)

    @property
    def address(self) -> str:
        """The broker without the password."""
        return shown_option(self.uri, lambda uri: str(_url(uri).with_password(None)))


@attrs.frozen
class Options:
    """The queues."""

    connections: list[ConnectionOptions] = attrs.field(factory=list, validator=are_named_apart)
    """The queues that are consumed."""
