"""The connections of a transport, each shared by the subscribers of one peer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Generic, TypeVar

from evframe import Socket
from evframe.plugin import HostAddress, PluginContext, Resolver
from evframe_stream.connection import Connection

SocketT = TypeVar("SocketT", bound=Socket)


class Connections(Generic[SocketT]):
    """Makes a connection for the first subscriber of a peer, and closes it with the last one.

    Args:
        make: makes the connection of a socket; the resolver looks its host up.
    """

    def __init__(self, make: Callable[[SocketT, Resolver], Connection]) -> None:
        self._make = make
        self._open: dict[Hashable, Connection] = {}
        self._context: PluginContext | None = None
        self._resolver = Resolver()

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._open.values())

    def use(self, context: PluginContext) -> None:
        """Share the resolver of *context*, and report to it the connections that end."""
        self._context, self._resolver = context, context.resolver

    def get(self, peer: Hashable, socket: SocketT) -> Connection:
        """Return the connection to a peer, which is made where there is none.

        Args:
            peer: what the sockets that share the connection have in common.
            socket: that of the subscriber.
        """
        connection = self._open.get(peer)
        if connection is None:
            connection = self._open[peer] = self._make(socket, self._resolver)
            if self._context is not None:
                connection.on_closed = partial(self._context.connection_closed, protocol=connection.protocol)
        connection.users.add(socket.canonical)
        return connection

    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that *host* does not have any more."""
        for connection in self:
            if connection.host == host:
                connection.addresses_changed(addresses)

    def release(self, peer: Hashable, socket: SocketT) -> None:
        """Close the connection to a peer with its last subscriber."""
        connection = self._open.get(peer)
        if connection is not None:
            connection.users.discard(socket.canonical)
            if not connection.users:
                del self._open[peer]
                connection.close()

    def close(self) -> None:
        """Close all."""
        connections, self._open = self._open, {}
        for connection in connections.values():
            connection.close()
