"""The options of the transport: the table ``[plugins.stream]``."""

from __future__ import annotations

from typing import Literal

import attrs
from evframe_cloudevents import FormatOptions

from evframe.plugin import at_least, within


@attrs.frozen
class Options:
    """How events go out on connections."""

    reliable_mode: bool = False
    """Send requests with an id, and count an event as delivered when its reply has arrived."""
    timeout_ms: int = attrs.field(default=1000, validator=at_least(1))
    """How long after its raise a request may be without its reply; while the peer cannot be reached nothing runs."""
    event_param: str | None = None
    """Add the event's name to the parameters: first member of this name, or first element."""
    newline_framing: bool = False
    """End each message with a newline."""
    connect_timeout_ms: int = attrs.field(default=3000, validator=at_least(1))
    """How long making a connection may take, once the name is looked up."""
    max_connection_age_s: float = attrs.field(default=0.0, validator=at_least(0))
    """After how long a connection is exchanged for a new one, losing nothing; 0 for never."""
    max_in_flight: int = attrs.field(default=65_536, validator=at_least(1))
    """How many events of a subscriber may be under way without being confirmed."""
    resend_ms: int = attrs.field(default=1000, validator=at_least(0))
    """Send again what was acknowledged so recently when a connection does not end in good order; 0 prefers the loss."""
    user_timeout_ms: int = attrs.field(default=10_000, validator=within(0, 2**31 - 1))
    """How long the peer's kernel may leave what was sent without an acknowledgement; 0 leaves that to this kernel."""
    keepalive_s: int = attrs.field(default=15, validator=within(0, 32_767))
    """Probe an idle peer after so long, and three times more within as long again; 0 for never."""
    format: Literal["jsonrpc", "cloudevents"] = "jsonrpc"
    """What a message is: the notification of JSON-RPC, or a CloudEvent in JSON, which is for the plain mode."""
    formats: list[FormatOptions] = attrs.field(factory=list)
    """The formats of some of the subscribers."""

    def __attrs_post_init__(self) -> None:
        rules = ((f"formats[{index}].format", rule.format) for index, rule in enumerate(self.formats))
        for place, found in (("format", self.format), *rules):
            if self.reliable_mode and found != "jsonrpc":
                raise ValueError(f"{place}: expected 'jsonrpc' in reliable mode, whose replies have ids, got {found!r}")
