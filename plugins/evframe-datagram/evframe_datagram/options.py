"""The options of the transport: the table ``[plugins.datagram]``."""

from __future__ import annotations

from typing import Literal

import attrs
from evframe_cloudevents import FormatOptions


@attrs.frozen
class Options:
    """What a datagram has."""

    format: Literal["jsonrpc", "cloudevents"] = "jsonrpc"
    """What a datagram is: the notification of JSON-RPC, or a CloudEvent in JSON."""
    formats: list[FormatOptions] = attrs.field(factory=list)
    """The formats of some of the subscribers."""
