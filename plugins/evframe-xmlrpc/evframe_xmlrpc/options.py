"""The options of the transport: the table ``[plugins.xmlrpc]``."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least, file_digests


@attrs.frozen
class Options:
    """How events become calls."""

    use_struct_param: bool = False
    """Send the named parameters of an event as one struct, not one after the other without their names."""
    keep_alive: bool = True
    """Send the calls of a subscriber over one connection; without it, each has another connection."""
    max_in_flight: int = attrs.field(default=1, validator=at_least(1))
    """How many calls of a subscriber may be on their way without an answer; more is HTTP pipelining."""
    timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long the oldest call on its way may be without an answer."""
    connect_timeout_ms: int = attrs.field(default=3000, validator=at_least(1))
    """How long making a connection may take, once the name is looked up."""
    max_connection_age_s: float = attrs.field(default=0.0, validator=at_least(0))
    """After how long a connection is exchanged for a new one, losing nothing; 0 for never."""
    multicall: bool = False
    """Send what waits together as one call of ``system.multicall``, one after the other."""
    mask_paths: bool = False
    """Show nothing of the path of a socket, and not only nothing of what looks like a secret in it."""
    ca_file: str | None = None
    """The certificates that ``xmlrpcs:`` trusts; those of the system without it."""
    contents: tuple[bytes | None, ...] = file_digests("ca_file")
