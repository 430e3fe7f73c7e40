"""The options of the plugin: the table ``[plugins.websocket]``."""

from __future__ import annotations

import attrs
from evframe_live import LiveOptions
from evframe_live.options import is_path
from evframe_mi import NarrowingOptions

from evframe.plugin import at_least


@attrs.frozen
class Options(LiveOptions, NarrowingOptions):
    """Where WebSockets are opened, and what is accepted over one."""

    path: str = attrs.field(default="/ws", validator=is_path)
    """The path of requests."""
    max_message_bytes: int = attrs.field(default=1 << 20, validator=at_least(1))
    """The largest message of a client."""
    max_requests: int = attrs.field(default=64, validator=at_least(1))
    """How many requests of a connection may wait for their answers before no further message is read."""
