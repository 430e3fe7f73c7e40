"""The plugin: messages as datagrams, or on connections."""

from __future__ import annotations

from collections.abc import Awaitable

from evframe_datagram import DatagramSender
from evframe_stream import Chunk, Connections, EncryptedConnection, SilentConnection
from evframe_stream import Options as StreamOptions
from evframe_wire.tls import ClientTls

from evframe import Batch, Socket, hookimpl
from evframe.plugin import HostAddress, Limits, PluginContext, Resolver
from evframe_syslog.address import SyslogSocket, parse
from evframe_syslog.messages import MessageFormat
from evframe_syslog.options import Options as SyslogOptions


class SyslogTransport:
    """The plugin object."""

    schemes = ("syslog",)
    Options = SyslogOptions

    def __init__(self, options: SyslogOptions | None = None) -> None:
        options = SyslogOptions() if options is None else options
        has_data = options.content != "payload"
        self.limits = Limits(gathers=True, in_flight=options.max_in_flight, reads_params=has_data)
        self._stream = StreamOptions(
            connect_timeout_ms=options.connect_timeout_ms,
            resend_ms=options.resend_ms,
            user_timeout_ms=options.user_timeout_ms,
        )
        self._format = MessageFormat(options)
        self._datagrams = DatagramSender()
        self._connections = Connections(self._make)
        self._tls = ClientTls(options.ca_file, options.cert_file, options.key_file)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins, and report closed connections."""
        self._connections.use(context)
        self._datagrams.use(context.resolver)

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that *host* does not have any more."""
        self._connections.addresses_changed(host, addresses)

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
        if socket.datagram is not None:
            return self._datagrams.send(socket.datagram, batch, messages)
        framed = [b"%d %b" % (len(message), message) if message else b"" for message in messages]
        return self._connections.get(socket.canonical, socket).send(Chunk(batch, framed))

    def _make(self, socket: SyslogSocket, resolver: Resolver) -> SilentConnection:
        if socket.way == "tls":
            return EncryptedConnection(socket.endpoints[0], self._stream, resolver, self._tls.context)
        return SilentConnection(socket.endpoints[0], self._stream, resolver)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close what the subscriber had open."""
        if isinstance(socket, SyslogSocket):
            self._connections.release(socket.canonical, socket)
            if socket.datagram is not None:
                self._datagrams.close(socket.datagram.canonical)

    @hookimpl
    def stop(self) -> None:
        """Close what is open."""
        self._connections.close()
