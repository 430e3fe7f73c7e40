"""The plugin: subscribers of one host and port share a connection."""

from __future__ import annotations

import random
from collections.abc import Awaitable
from functools import partial

from evframe_cloudevents import Formats
from evframe_wire.addresses import without_brackets

from evframe import Batch, Socket, hookimpl
from evframe.plugin import HostAddress, Limits, PluginContext, Resolver
from evframe_stream.acknowledged import AcknowledgedConnection
from evframe_stream.address import TcpSocket, parse
from evframe_stream.answered import AnsweredConnection
from evframe_stream.chunk import Chunk
from evframe_stream.connection import Connection
from evframe_stream.messages import MessageFormat
from evframe_stream.options import Options as StreamOptions

_LAST_ID = 2**31 - 1


class StreamTransport:
    """The plugin object."""

    schemes = ("tcp",)
    Options = StreamOptions

    def __init__(self, options: StreamOptions | None = None) -> None:
        self._options = options = StreamOptions() if options is None else options
        self.limits = Limits(gathers=True, in_flight=options.max_in_flight)
        self._format = MessageFormat(options.event_param, newline=options.newline_framing)
        self.formats = Formats(options.format, options.formats)
        """The formats of the subscribers."""
        self._connections: dict[tuple[str, int], Connection] = {}
        self._context: PluginContext | None = None
        self._resolver = Resolver()
        self._next_id = random.randrange(1, 2**30)  # noqa: S311 to distinguish runs, not a secret

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins and what makes CloudEvents, and report closed connections."""
        self.formats.use(context)
        self._context = context
        self._resolver = context.resolver

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that *host* does not have any more."""
        for (name, _), connection in self._connections.items():
            if without_brackets(name) == host:
                connection.addresses_changed(addresses)

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``tcp:`` sockets."""
        return parse(rest) if scheme == "tcp" else None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one message per event."""
        if not isinstance(socket, TcpSocket):
            return None
        connection = self._connection(socket)
        if not self._options.reliable_mode:
            return connection.send(Chunk(batch, self._messages(socket, batch)))
        first = self._take_ids(max(1, len(batch.events)))
        return connection.send(Chunk(batch, self._format.requests(batch.events, socket.method, first), first))

    def _messages(self, socket: TcpSocket, batch: Batch) -> list[bytes]:
        made = None if self.formats.is_plain else self.formats.structured(socket.canonical, batch)
        return self._format.notifications(batch.events, socket.method) if made is None else self._format.ended(made)

    def _take_ids(self, count: int) -> int:
        """Return the first of *count* consecutive ids that no other request of this process has."""
        first = 1 if self._next_id + count > _LAST_ID else self._next_id
        self._next_id = first + count
        return first

    def _connection(self, target: TcpSocket) -> Connection:
        key = (target.host, target.port)
        connection = self._connections.get(key)
        if connection is None:
            kind = AnsweredConnection if self._options.reliable_mode else AcknowledgedConnection
            connection = kind(target.endpoints[0], self._options, self._resolver)
            if self._context is not None:
                connection.on_closed = partial(self._context.connection_closed, protocol="tcp")
            self._connections[key] = connection
        connection.users.add(target.canonical)
        return connection

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the connection with its last subscriber."""
        if isinstance(socket, TcpSocket):
            key = (socket.host, socket.port)
            connection = self._connections.get(key)
            if connection is not None:
                connection.users.discard(socket.canonical)
                if not connection.users:
                    del self._connections[key]
                    connection.close()

    @hookimpl
    def stop(self) -> None:
        """Close what is open."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            connection.close()
