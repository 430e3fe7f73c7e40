"""The plugin: subscribers of one host and port share a connection."""

from __future__ import annotations

import random
from collections.abc import Awaitable

from evframe_cloudevents import Formats

from evframe import Batch, Socket, hookimpl
from evframe.plugin import HostAddress, Limits, PluginContext, Resolver
from evframe_stream.acknowledged import AcknowledgedConnection
from evframe_stream.address import TcpSocket, parse
from evframe_stream.answered import AnsweredConnection
from evframe_stream.chunk import Chunk
from evframe_stream.connection import Connection
from evframe_stream.connections import Connections
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
        self.connections = Connections(self._make)
        """Those to the peers of the subscribers."""
        self._next_id = random.randrange(1, 2**30)  # noqa: S311 to distinguish runs, not a secret

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins and what makes CloudEvents, and report closed connections."""
        self.formats.use(context)
        self.connections.use(context)

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that *host* does not have any more."""
        self.connections.addresses_changed(host, addresses)

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``tcp:`` sockets."""
        return parse(rest) if scheme == "tcp" else None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one message per event."""
        if not isinstance(socket, TcpSocket):
            return None
        connection = self.connections.get((socket.host, socket.port), socket)
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

    def _make(self, target: TcpSocket, resolver: Resolver) -> Connection:
        kind = AnsweredConnection if self._options.reliable_mode else AcknowledgedConnection
        return kind(target.endpoints[0], self._options, resolver)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the connection with its last subscriber."""
        if isinstance(socket, TcpSocket):
            self.connections.release((socket.host, socket.port), socket)

    @hookimpl
    def stop(self) -> None:
        """Close what is open."""
        self.connections.close()
