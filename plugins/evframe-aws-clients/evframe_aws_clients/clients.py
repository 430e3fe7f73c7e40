"""The clients of a transport, each shared by the subscribers of one service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from evframe_wire.closing import Closing
from evframe_wire.tls import ClientTls

from evframe import Socket
from evframe_aws_clients.options import AwsOptions

if TYPE_CHECKING:
    from evframe_aws_clients.client import AwsClient

ClientT = TypeVar("ClientT", bound="AwsClient")
Service = tuple[str, str | None]
"""The URL, and the region that requests are signed for."""


class AwsSocket(Socket, Protocol):
    """A socket of a transport to a service of AWS."""

    @property
    def base(self) -> str:
        """The URL of the service: scheme, host and port."""

    @property
    def region(self) -> str | None:
        """The region that the host names; None where it names none."""

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The host, without the brackets of an IPv6 address, and the port."""


class Clients(Generic[ClientT]):
    """Makes a client for the first subscriber of a service, and closes it with the last one.

    Args:
        options: of the transport.

    Raises:
        ConfigError: if the file with certificates cannot be used.
    """

    def __init__(self, options: AwsOptions) -> None:
        ClientTls(options.ca_file)
        self._options = options
        self._open: dict[Service, ClientT] = {}
        self._closing = Closing()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, kind: Callable[..., ClientT], socket: AwsSocket) -> ClientT:
        """Return the client for *socket*, which *kind* makes where there is none."""
        service = socket.base, self._options.region or socket.region
        client = self._open.get(service)
        if client is None:
            host, _ = socket.endpoints[0]
            client = self._open[service] = kind(socket.base, host, service[1], self._options)
        client.users.add(socket.canonical)
        return client

    def release(self, canonical: str) -> None:
        """Close the client of a subscriber, by the text of its socket, with the last of its subscribers."""
        for service, client in list(self._open.items()):
            client.users.discard(canonical)
            if not client.users:
                del self._open[service]
                self._closing.add(client.close())

    def close(self) -> Awaitable[Any]:
        """Close all; return what ends with that."""
        while self._open:
            _, client = self._open.popitem()
            self._closing.add(client.close())
        return self._closing.wait()
