"""The sockets of the transport: host and port, or a UNIX path."""

from __future__ import annotations

import os
import socket
from typing import Final

import attrs

from evframe import split_host_port
from evframe.sockets import resolve

MAX_PATH_BYTES: Final = 107


@attrs.frozen(slots=True)
class UdpSocket:
    """``udp:host:port``; the name was resolved when it was subscribed."""

    host: str
    port: int
    family: int
    address: tuple[str | int | bytes, ...]

    @property
    def canonical(self) -> str:
        """The host as it was given, the port in plain decimal."""
        return f"udp:{self.host}:{self.port}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def max_bytes(self) -> int:
        """The largest payload of one datagram."""
        return 65507 if self.family == socket.AF_INET else 65487


@attrs.frozen(slots=True)
class UnixSocket:
    """``unix:/path`` or ``unix:@abstract``."""

    path: str

    @property
    def canonical(self) -> str:
        """The path as it was given."""
        return f"unix:{self.path}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def family(self) -> int:
        """The address family."""
        return socket.AF_UNIX

    @property
    def address(self) -> bytes:
        """What `connect` takes; a leading ``@`` is the abstract namespace."""
        raw = os.fsencode(self.path)
        return b"\0" + raw[1:] if raw.startswith(b"@") else raw


def parse(scheme: str, rest: str) -> UdpSocket | UnixSocket | None:
    """Return the socket of *rest*, or None when *scheme* belongs to another transport.

    Raises:
        ValueError: if the text does not fit, or the host does not resolve.
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
    found = resolve(host, port, socket.SOCK_DGRAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, _, _, _, address = found[0]
    return UdpSocket(host, port, family, tuple(address))
