"""The sockets of the transport: a way, and the address of a receiver on it."""

from __future__ import annotations

from typing import Final

import attrs
from evframe_datagram import UdpSocket, UnixSocket
from evframe_datagram import parse as parse_datagram
from evframe_wire.addresses import without_brackets

from evframe import split_host_port

PORTS: Final = {"udp": 514, "tcp": 514, "tls": 6514}
FORM: Final = "expected udp:host[:port], tcp:host[:port], tls:host[:port] or unix:/path"


@attrs.frozen(slots=True)
class SyslogSocket:
    """``syslog:udp:host:port``, ``tcp:`` or ``tls:`` instead of ``udp:``, or ``syslog:unix:/path``."""

    way: str
    """``udp``, ``tcp``, ``tls`` or ``unix``."""
    address: str
    """The host and the port, or the path."""
    endpoints: tuple[tuple[str, int], ...]
    """The host, without the brackets of an IPv6 address, and the port; a path connects to no host."""
    datagram: UdpSocket | UnixSocket | None
    """Where the datagrams go; None for a way with connections."""
    canonical: str = attrs.field(init=False, eq=False)
    """The host or the path as it was given, with the port in plain decimal; a field, because every batch needs it."""

    @canonical.default
    def _canonical(self) -> str:
        return f"syslog:{self.way}:{self.address}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def is_connectionless(self) -> bool:
        """Over UDP, the kernel knows nothing about the peer before something was sent."""
        return self.way == "udp"


def parse(rest: str) -> SyslogSocket:
    """Return the socket of *rest*, the text after ``syslog:``.

    Raises:
        ValueError: if the text does not fit.
    """
    way, colon, address = rest.partition(":")
    if way == "unix" and colon:
        return SyslogSocket(way, address, (), parse_datagram("unix", address))
    if way not in PORTS or not colon:
        raise ValueError(f"{FORM}, got {rest!r}")
    has_port = ":" in address.rpartition("]")[2]
    host, port = split_host_port(address if has_port else f"{address}:{PORTS[way]}")
    place = f"{host}:{port}"
    datagram = parse_datagram("udp", place) if way == "udp" else None
    return SyslogSocket(way, place, ((without_brackets(host), port),), datagram)
