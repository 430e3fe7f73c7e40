"""The options of the transport: the table ``[plugins.webhook]``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final, Literal

import attrs
from evframe_http.signatures import key_of
from evframe_http.urls import UrlPattern
from evframe_options import Validator, are_networks, matching

from evframe.plugin import Network, at_least, file_digests, secret, within

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TEXT: Final = r"[ -~]*"
_OWN: Final = {"content-length", "content-type", "host", "transfer-encoding", "connection", "user-agent"}
MOST_EVENTS: Final = 64
"""How many events of a subscriber are under way together."""
_IS_SECRET: Final = secret()
Format = Literal["jsonrpc", "cloudevents", "cloudevents-binary", "cloudevents-batch"]


def _read_by(read: Callable[[str], object]) -> Validator:
    """Return the validator of a text that *read* takes, or None."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
        try:
            if value is not None:
                read(value)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None

    return check


def _headers(_: Any, attribute: attrs.Attribute[Any], value: dict[str, str]) -> None:
    for name, text in value.items():
        if not re.fullmatch(_NAME, name) or name.lower() in _OWN or name.lower().startswith(("ce-", "webhook-")):
            raise ValueError(f"{attribute.name}: expected a header that is not the transport's own, got {name!r}")
        if not re.fullmatch(_TEXT, text):
            raise ValueError(f"{attribute.name}: expected a value in ASCII without control characters for {name!r}")


@attrs.frozen
class TargetOptions:
    """What holds for the sockets that fit a URL; of several targets, for the first that fits."""

    url: str = attrs.field(validator=_read_by(UrlPattern.of))
    """The URL, with ``*`` for any text within the host or within the path, or ``*`` alone. A URL without a port has
    that of its scheme."""
    secret: str | None = attrs.field(default=None, validator=_read_by(key_of), repr=False, metadata=_IS_SECRET)
    """What requests are signed with: ``whsec_`` and 24 to 64 bytes in base64. Without it they are not signed."""
    previous_secret: str | None = attrs.field(default=None, validator=_read_by(key_of), repr=False, metadata=_IS_SECRET)
    """The secret before a rotation. Requests are signed with both, until every receiver has the new one."""
    headers: dict[str, str] = attrs.field(factory=dict, validator=_headers, repr=False, metadata=_IS_SECRET)
    """Further headers of each request, such as ``Authorization``."""
    format: Format | None = None
    """The format, instead of that of the plugin."""
    timeout_ms: int | None = attrs.field(default=None, validator=attrs.validators.optional(at_least(1)))
    """The time of a request, instead of that of the plugin."""
    max_in_flight: int | None = attrs.field(default=None, validator=attrs.validators.optional(within(1, MOST_EVENTS)))
    """The number of requests, instead of that of the plugin."""
    origin: str | None = attrs.field(default=None, validator=matching(_NAME, "a host name"))
    """The name of this gateway, such as ``gateway.example``: nothing is sent before the server has permitted it in the
    handshake of CloudEvents. Without it there is no handshake."""


@attrs.frozen
class Options:
    """How events become requests."""

    format: Format = "jsonrpc"
    """What a request has: the notification of JSON-RPC, a CloudEvent, one with its attributes in headers, or a list of
    up to 64 CloudEvents."""
    timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long a request may take until its answer is read, with the connection."""
    connect_timeout_ms: int = attrs.field(default=3000, validator=at_least(1))
    """How long making a connection may take, once the name is looked up."""
    max_in_flight: int = attrs.field(default=1, validator=within(1, MOST_EVENTS))
    """How many requests of a subscriber may be under way, each on a connection; with more than one, events may overtake
    each other."""
    max_retry_after_s: int = attrs.field(default=300, validator=at_least(0))
    """The longest pause that a server gets by its header ``Retry-After``."""
    client_networks: list[str] = attrs.field(factory=list, validator=are_networks)
    """The networks, such as ``10.0.0.0/8``, that run-time clients may subscribe though they are not public."""
    mask_paths: bool = False
    """Show nothing of the path of a socket, and not only nothing of what looks like a secret in it."""
    ca_file: str | None = None
    """The certificates that ``https:`` trusts; those of the system without it."""
    targets: list[TargetOptions] = attrs.field(factory=list)
    """What holds for some of the sockets: secrets, headers, and other options."""
    contents: tuple[bytes | None, ...] = file_digests("ca_file")

    @property
    def networks(self) -> tuple[Network, ...]:
        """The `client_networks`."""
        return tuple(map(ipaddress.ip_network, self.client_networks))
