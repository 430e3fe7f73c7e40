"""The options: the table ``[plugins.cloudevents]``, and what the tables of transports have."""

from __future__ import annotations

from typing import Final, Literal

import attrs
from evframe_options import matching

Format = Literal["jsonrpc", "cloudevents"]
"""The formats of a transport without headers: CloudEvents are structured."""
BinaryFormat = Literal["jsonrpc", "cloudevents", "cloudevents-structured"]
"""The formats of a transport with headers, where CloudEvents are binary unless they have to be structured."""
_REFERENCE: Final = r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
_PREFIX: Final = r"[A-Za-z0-9._~:/-]*"


@attrs.frozen
class FormatOptions:
    """The format for the subscribers whose sockets match."""

    socket: str
    """A pattern of canonical sockets, such as ``tcp:10.*``; the first entry that matches counts."""
    format: Format
    """Their format."""


@attrs.frozen
class BinaryFormatOptions:
    """The format for the subscribers whose sockets match."""

    socket: str
    """A pattern of canonical sockets, such as ``*/calls``; the first entry that matches counts."""
    format: BinaryFormat
    """Their format."""


@attrs.frozen
class Options:
    """What the CloudEvents of all transports have."""

    source: str | None = attrs.field(default=None, validator=matching(_REFERENCE, "a URI reference"))
    """The attribute `source`, a URI reference that names this gateway; without it ``//host/evframe`` with the name of
    the host."""
    type_prefix: str = attrs.field(default="", validator=matching(_PREFIX, "text such as 'org.example.'"))
    """What the attribute `type` has before the name of the event, such as ``org.example.``; what comes with it loses
    it."""
