"""The plugin: what the datagrams of a subscriber have."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from evframe_cloudevents import Formats

from evframe import Batch, Socket, hookimpl
from evframe.plugin import Limits, PluginContext
from evframe_datagram.address import UdpSocket, UnixSocket, parse
from evframe_datagram.options import Options as DatagramOptions
from evframe_datagram.sending import DatagramSender

_SOCKETS: Final = (UdpSocket, UnixSocket)


class DatagramTransport:
    """The plugin object."""

    schemes = ("udp", "unix")
    limits = Limits(at_once=True)  # sends that do not wait
    Options = DatagramOptions

    def __init__(self, options: DatagramOptions | None = None) -> None:
        options = DatagramOptions() if options is None else options
        self.formats = Formats(options.format, options.formats)
        """The formats of the subscribers."""
        self.sender = DatagramSender()
        """What sends the datagrams."""

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins, and what makes CloudEvents."""
        self.formats.use(context)
        self.sender.use(context.resolver)

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``udp:`` and ``unix:`` sockets."""
        return parse(scheme, rest)

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one datagram per event."""
        if not isinstance(socket, _SOCKETS):
            return None
        payloads = None if self.formats.is_plain else self.formats.structured(socket.canonical, batch)
        if payloads is None:
            payloads = [event.payload for event in batch.events]
        return self.sender.send(socket, batch, payloads)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's kernel socket."""
        self.sender.close(socket.canonical)
