"""The plugin: messages as datagrams, or on connections."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable
from functools import cached_property, partial

from evframe_datagram import DatagramTransport
from evframe_stream import Options as StreamOptions
from evframe_stream.chunk import Chunk
from evframe_wire.tls import checked_context

from evframe import Batch, ConfigError, Socket, Unavailable, hookimpl
from evframe.plugin import HostAddress, Limits, PluginContext, Resolver
from evframe_syslog.address import SyslogSocket, parse
from evframe_syslog.connection import ReceiverConnection
from evframe_syslog.datagrams import Datagrams
from evframe_syslog.messages import MessageFormat
from evframe_syslog.options import Options as SyslogOptions
from evframe_syslog.tls import TlsConnection


class SyslogTransport:
    """The plugin object."""

    schemes = ("syslog",)
    Options = SyslogOptions

    def __init__(self, options: SyslogOptions | None = None) -> None:
        self._options = options = SyslogOptions() if options is None else options
        has_data = options.content != "payload"
        self.limits = Limits(gathers=True, in_flight=options.max_in_flight, reads_params=has_data)
        self._stream = StreamOptions(
            connect_timeout_ms=options.connect_timeout_ms,
            resend_ms=options.resend_ms,
            user_timeout_ms=options.user_timeout_ms,
        )
        self._format = MessageFormat(options)
        self._datagrams = DatagramTransport()
        self._connections: dict[str, tuple[SyslogSocket, ReceiverConnection]] = {}
        self._context: PluginContext | None = None
        self._resolver = Resolver()
        if options.ca_file is not None or options.cert_file is not None:
            self._tls  # noqa: B018 a file that cannot be used is an error of the start

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """What certificates are checked with; the default ones take 50 ms to read, which a start need not wait for."""
        options = self._options
        try:
            return checked_context(options.ca_file, options.cert_file, options.key_file)
        except ValueError as error:
            raise ConfigError([str(error)]) from None

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins, and report closed connections."""
        self._context = context
        self._resolver = context.resolver
        self._datagrams.loaded(context)

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that *host* does not have any more."""
        for socket, connection in self._connections.values():
            if socket.endpoints[0][0] == host:
                connection.addresses_changed(addresses)

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``syslog:`` sockets."""
        return parse(rest) if scheme == "syslog" else None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one message for each event."""
        if not isinstance(socket, SyslogSocket):
            return None
        messages = self._format.messages(batch)
        if socket.datagram is None:
            framed = [b"%d %b" % (len(message), message) if message else b"" for message in messages]
            return self._connection(socket).send(Chunk(batch, framed))
        datagrams = Datagrams(batch, messages)
        try:
            result = self._datagrams.deliver(socket.datagram, datagrams)
        except Unavailable as error:
            raise datagrams.mapped(error) from None
        return datagrams.wait(result) if isinstance(result, Awaitable) else result

    def _connection(self, socket: SyslogSocket) -> ReceiverConnection:
        _, connection = self._connections.get(socket.canonical, (None, None))
        if connection is None:
            place = socket.endpoints[0]
            if socket.way == "tls":
                connection = TlsConnection(place, self._stream, self._resolver, self._tls)
            else:
                connection = ReceiverConnection(place, self._stream, self._resolver)
            if self._context is not None:
                connection.on_closed = partial(self._context.connection_closed, protocol=socket.way)
            self._connections[socket.canonical] = socket, connection
        return connection

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close what the subscriber had open."""
        if isinstance(socket, SyslogSocket):
            if socket.datagram is not None:
                self._datagrams.unsubscribed(socket.datagram)
            _, connection = self._connections.pop(socket.canonical, (None, None))
            if connection is not None:
                connection.close()

    @hookimpl
    def stop(self) -> None:
        """Close what is open."""
        connections, self._connections = self._connections, {}
        for _, connection in connections.values():
            connection.close()
