"""The sockets of the transport: host, port and an optional method."""

from __future__ import annotations

from functools import cached_property

import attrs
from evframe_wire.addresses import HostSocket

from evframe import split_host_port


@attrs.frozen(slots=True)
class TcpSocket(HostSocket):
    """``tcp:host:port[/method]``; *method* None stands for the event's name."""

    method: str | None

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """The host and the method as they were given, the port in plain decimal."""
        address = f"tcp:{self.host}:{self.port}"
        return address if self.method is None else f"{address}/{self.method}"


def parse(rest: str) -> TcpSocket:
    """Return the socket of *rest*.

    Raises:
        ValueError: if the text does not fit.
    """
    address, _, method = rest.partition("/")
    host, port = split_host_port(address)
    return TcpSocket(host, port, method or None)
