"""The plugin: sockets, and the address that the datagrams for a name go to."""

from __future__ import annotations

import socket
from collections.abc import Awaitable

from evframe_cloudevents import Formats

from evframe import Batch, Socket, hookimpl
from evframe.plugin import HostAddress, Limits, PluginContext, Resolver
from evframe_datagram.address import UdpSocket, UnixSocket, parse
from evframe_datagram.kernel_sockets import KernelSockets
from evframe_datagram.options import Options as DatagramOptions
from evframe_datagram.udp import UdpSender
from evframe_datagram.unix import UnixSender


class DatagramTransport:
    """The plugin object."""

    schemes = ("udp", "unix")
    limits = Limits(at_once=True)  # sends that do not wait
    Options = DatagramOptions

    def __init__(self, options: DatagramOptions | None = None) -> None:
        options = DatagramOptions() if options is None else options
        self.formats = Formats(options.format, options.formats)
        """The formats of the subscribers."""
        self._sockets = KernelSockets()
        self._udp = UdpSender(self._sockets, self._forget)
        self._unix = UnixSender(self._sockets)
        self._resolver = Resolver()
        self._chosen: dict[str, tuple[tuple[HostAddress, ...], HostAddress]] = {}

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins, and what makes CloudEvents."""
        self.formats.use(context)
        self._resolver = context.resolver

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``udp:`` and ``unix:`` sockets."""
        return parse(scheme, rest)

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one datagram per event."""
        if not self.formats.is_plain and isinstance(socket, UdpSocket | UnixSocket):
            batch = self.formats.formatted(socket.canonical, batch)
        if isinstance(socket, UdpSocket):
            address = socket.numeric or self._address(socket)
            if address is None:
                return self._resolve_and_send(socket, batch)
            if self._udp.doubtful and socket.canonical in self._udp.doubtful and batch.events:
                return self._udp.send_carefully(socket, batch, address)
            self._udp.send(socket, batch, address)
            return True
        if isinstance(socket, UnixSocket):
            return self._unix.send(socket, batch)
        return None

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's kernel socket."""
        self._sockets.close(socket.canonical)
        self._udp.doubtful.discard(socket.canonical)
        self._chosen.pop(socket.canonical, None)

    def _address(self, target: UdpSocket) -> HostAddress | None:
        """Return where the datagrams for a name go, without waiting; None when it has to be looked up."""
        found = self._resolver.known(target.host, target.port)  # a name has no brackets
        return None if found is None else self._choose(target, found)

    def _choose(self, target: UdpSocket, found: tuple[HostAddress, ...]) -> HostAddress:
        """Return the address that was used before while the name has it; else the first one, of IPv4 if there is one.

        One subscriber's datagrams go to one address: the next one would be another reader.
        """
        before, chosen = self._chosen.get(target.canonical, ((), None))
        if before is found and chosen is not None:
            return chosen
        if chosen is None or chosen not in found:
            chosen = min(found, key=lambda address: address.family != socket.AF_INET)
        self._chosen[target.canonical] = found, chosen
        return chosen

    async def _resolve_and_send(self, target: UdpSocket, batch: Batch) -> None:
        found = await self._resolver.addresses(target.host, target.port)
        address = self._choose(target, found)
        if target.canonical in self._udp.doubtful and batch.events:
            await self._udp.send_carefully(target, batch, address)
        else:
            self._udp.send(target, batch, address)

    def _forget(self, target: UdpSocket) -> None:
        """Have the name of *target*, if it has one, looked up before the next batch."""
        if target.numeric is None:
            self._resolver.forget(target.host)
