"""The options of the plugin: the table ``[plugins.sse]``."""

from __future__ import annotations

import attrs
from evframe_live import LiveOptions

from evframe.plugin import at_least


@attrs.frozen
class Options(LiveOptions):
    """Where streams are opened, and for how long one with a name outlives its connection."""

    retry_ms: int = attrs.field(default=2000, validator=at_least(1))
    """After how many milliseconds a browser opens a stream again that has ended."""
    resume_s: float = attrs.field(default=60.0, validator=at_least(0))
    """For how many seconds events wait for a stream with a name whose connection has ended."""
    resume_bytes: int = attrs.field(default=1 << 20, validator=at_least(0))
    """How many bytes that were sent to a stream with a name are kept, to be sent again where a connection was lost
    with them."""
