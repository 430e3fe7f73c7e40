"""The options of the plugin: the table ``[plugins.mqtt-consumer]``."""

from __future__ import annotations

import re
from typing import Any, Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from evframe import split_host_port
from evframe.plugin import are_named_apart, at_least, is_event_name, is_readable, secret, shown_option, within

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_GROUP: Final = r"(?:\$share/[^/+#]+/|(?!\$share(?:/|$)))(?=.)"  # and something behind it
_FILTER: Final = re.compile(rf"{_GROUP}(?:(?:\+|[^/+#]*)/)*(?:\+|#|[^/+#]*)", re.DOTALL)
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_MOST_BYTES: Final = 65535
Answer = Literal["ack", "retry"]
"""What is done with a message that was not delivered: it is acknowledged, or its event is raised again."""


def _uri(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        uri = urlsplit(value)
        split_host_port(_authority(uri))
        fits = uri.scheme in _PORTS and uri.path in {"", "/"} and not uri.query and not uri.fragment
    except ValueError:
        fits = False
    if not fits:  # which may have a password, and is not shown
        raise ValueError(f"{attribute.name}: expected mqtt[s]://[user[:password]@]host[:port], got another text")


def _authority(uri: SplitResult) -> str:
    authority = uri.netloc.rpartition("@")[2]
    return authority if ":" in authority.rpartition("]")[2] else f"{authority}:{_PORTS.get(uri.scheme, 1)}"


def _filters(_: Any, attribute: attrs.Attribute[list[str]], value: list[str]) -> None:
    if not value:
        raise ValueError(f"{attribute.name}: expected a topic filter")
    for text in value:
        if not _FILTER.fullmatch(text) or _UNFIT.search(text) or len(text.encode()) > _MOST_BYTES:
            raise ValueError(f"{attribute.name}: expected a topic filter such as 'calls/+/ended', got {text[:80]!r}")


def _client_id(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not value or _UNFIT.search(value) or len(value.encode()) > _MOST_BYTES:
        raise ValueError(f"{attribute.name}: expected a text without control characters, got {value[:80]!r}")


@attrs.frozen
class ConnectionOptions:
    """One session at a server, on one connection."""

    filters: list[str] = attrs.field(validator=_filters)
    """The topic filters, such as ``calls/+/ended`` or ``calls/#``; ``$share/group/calls/#`` shares the messages with
    the other sessions of the group."""
    client_id: str = attrs.field(validator=_client_id)
    """The name of the session at the server, which no other client may have."""
    name: str = attrs.field(default=attrs.Factory(lambda self: self.client_id, takes_self=True))
    """What listings, statuses and the log call this connection; the ``client_id`` without it."""
    uri: str = attrs.field(default="mqtt://localhost:1883", validator=_uri, repr=False, metadata=secret(in_url=True))
    """The server, ``mqtt://user:password@host:port``, or ``mqtts:`` with TLS; the ports are 1883 and 8883 where none is
    given."""
    password_file: str | None = attrs.field(default=None, validator=is_readable)
    """A file whose first line is the password, read at every login."""
    session_expiry_s: int = attrs.field(default=86_400, validator=within(0, 2**32 - 1))
    """How long the server keeps the session, and the messages for it, after the connection; 4294967295 for ever."""
    clean_start: bool = False
    """Have the server forget at the start what it has kept for the session."""
    retained: Literal["new", "always", "never"] = "new"
    """When the server sends retained messages: with a subscription that the session did not have, with each connection,
    or not at all."""
    event: str | None = attrs.field(default=None, validator=is_event_name)
    """The event of messages that name none; without it such messages are refused."""
    events: list[str] = attrs.field(factory=lambda: ["*"])
    """Patterns of the events that messages may name; an empty list makes every message a body."""
    max_events: int = attrs.field(default=1000, validator=at_least(0))
    """How many unregistered events may be registered because messages name them."""
    ack: Literal["outcome", "at_once"] = "outcome"
    """When a message is acknowledged: once every delivery of its event has its outcome, or once it is raised."""
    receive_max: int = attrs.field(default=1000, validator=within(1, 65535))
    """How many messages may be without an acknowledgement; the server may send fewer."""
    on_failure: Answer = "ack"
    """What is done with a message whose event could not be delivered to every subscriber."""
    on_nobody: Answer = "ack"
    """What is done with a message whose event has no subscriber."""
    retry_delay_ms: int = attrs.field(default=1000, validator=at_least(1))
    """How long it takes until an event is raised again."""
    keepalive_s: int = attrs.field(default=10, validator=within(0, 65535))
    """After this time without a word of the server the connection is given up; 0 for never."""
    connect_timeout_ms: int = attrs.field(default=3000, validator=at_least(1))
    """How long making a connection may take, with TLS, once the name is looked up."""
    login_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long the server may take to let us in, and to take the subscriptions."""
    retry_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """The longest wait between two attempts to connect; it begins with much shorter ones."""
    ca_file: str | None = attrs.field(default=None, validator=is_readable)
    """The certificates that ``mqtts`` trusts; those of the system without it."""
    cert_file: str | None = attrs.field(default=None, validator=is_readable)
    """Our own certificate, with its key."""

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port of the server."""
        host, port = split_host_port(_authority(urlsplit(self.uri)))
        return host.strip("[]"), port

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The same as those of all servers."""
        return (self.endpoint,)

    @property
    def has_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.uri).scheme == "mqtts"

    @property
    def credentials(self) -> tuple[str | None, str | None]:
        """The user and the password in the URI."""
        user, colon, password = urlsplit(self.uri).netloc.rpartition("@")[0].partition(":")
        return unquote(user) or None, unquote(password) if colon else None

    @property
    def address(self) -> str:
        """The server without the password."""
        return shown_option(self.uri, _without_password)


def _without_password(text: str) -> str:
    uri = urlsplit(text)
    user, at, host = uri.netloc.rpartition("@")
    return f"{uri.scheme}://{user.partition(':')[0]}{at}{host}"


@attrs.frozen
class Options:
    """The sessions."""

    connections: list[ConnectionOptions] = attrs.field(factory=list, validator=are_named_apart)
    """The sessions whose messages are taken."""
