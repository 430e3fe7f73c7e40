"""The sockets of the transport: host, port and an optional method."""

from __future__ import annotations

from functools import cached_property

import attrs
from evframe_wire.addresses import without_brackets

from evframe import split_host_port


@attrs.frozen(slots=True)
class TcpSocket:
    """``tcp:host:port[/method]``; *method* None stands for the event's name."""

    host: str
    port: int
    method: str | None

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """The host and the method as they were given, the port in plain decimal."""
        address = f"tcp:{self.host}:{self.port}"
        return address if self.method is None else f"{address}/{self.method}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The host, without the brackets of an IPv6 address, and the port."""
        return ((without_brackets(self.host), self.port),)


def parse(rest: str) -> TcpSocket:
    """Return the socket of *rest*.

    Raises:
        ValueError: if the text does not fit.
    """
    address, _, method = rest.partition("/")
    host, port = split_host_port(address)
    return TcpSocket(host, port, method or None)
