"""The sockets of the transport: host and port, or a UNIX path."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Final

import attrs
from evframe_wire.addresses import HostSocket

from evframe import split_host_port
from evframe.plugin import HostAddress, numeric

MAX_PATH_BYTES: Final = 107


@attrs.frozen(slots=True)
class UdpSocket(HostSocket):
    """``udp:host:port``."""

    numeric: HostAddress | None
    """The address that the host is; None when it is a name."""
    canonical: str = attrs.field(init=False, eq=False)
    """The host as it was given, the port in plain decimal; a field, because every batch needs it."""

    @canonical.default
    def _canonical(self) -> str:
        return f"udp:{self.host}:{self.port}"

    @property
    def is_connectionless(self) -> bool:
        """The kernel knows nothing about the peer before something was sent."""
        return True


@attrs.frozen(slots=True)
class UnixSocket:
    """``unix:/path`` or ``unix:@abstract``."""

    path: str

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """The path as it was given."""
        return f"unix:{self.path}"

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """A path connects to no host."""
        return ()

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @cached_property  # every batch needs it
    def sockaddr(self) -> bytes:
        """What `connect` takes; a leading ``@`` is the abstract namespace."""
        raw = os.fsencode(self.path)
        return b"\0" + raw[1:] if raw.startswith(b"@") else raw


def parse(scheme: str, rest: str) -> UdpSocket | UnixSocket | None:
    """Return the socket of *rest*, or None when *scheme* belongs to another transport.

    Raises:
        ValueError: if the text does not fit.
    """
    if scheme == "unix":
        size = len(os.fsencode(rest))
        if not 1 <= size <= MAX_PATH_BYTES:
            raise ValueError(f"expected unix:path of 1 to {MAX_PATH_BYTES} bytes, got {size} bytes")
        if "\0" in rest or rest == "@":
            raise ValueError(f"expected unix:/path or unix:@name, got {rest!r}")
        return UnixSocket(rest)
    if scheme != "udp":
        return None
    host, port = split_host_port(rest)
    found = numeric(host, port)
    return UdpSocket(host, port, found[0] if found else None)
