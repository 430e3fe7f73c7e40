"""Datagrams for the subscribers of a transport, whatever it has in them."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Sequence

from evframe import Batch
from evframe.plugin import HostAddress, Resolver
from evframe_datagram.address import UdpSocket, UnixSocket
from evframe_datagram.kernel_sockets import KernelSockets
from evframe_datagram.udp import UdpSender
from evframe_datagram.unix import UnixSender


class DatagramSender:
    """Sends batches to sockets of UDP and UNIX; each subscriber has a kernel socket."""

    def __init__(self) -> None:
        self.kernel_sockets = KernelSockets()
        """Those that are open."""
        self._udp = UdpSender(self.kernel_sockets, self._forget)
        self._unix = UnixSender(self.kernel_sockets)
        self._resolver = Resolver()
        self._chosen: dict[str, tuple[tuple[HostAddress, ...], HostAddress]] = {}

    def use(self, resolver: Resolver) -> None:
        """Look names up with *resolver* from now on."""
        self._resolver = resolver

    def send(self, target: UdpSocket | UnixSocket, batch: Batch, payloads: Sequence[bytes]) -> Awaitable[None] | bool:
        """Send one datagram per event.

        Args:
            target: the socket, or the part of the subscriber's socket that is one.
            batch: gets the outcomes.
            payloads: one for each event; an empty one is not sent, and its event has its outcome already.

        Raises:
            Unavailable: if the peer, or the kernel, takes no more.
        """
        if isinstance(target, UnixSocket):
            return self._unix.send(target, batch, payloads)
        address = target.numeric or self._address(target)
        if address is None:
            return self._resolve_and_send(target, batch, payloads)
        if self._udp.doubtful and target.canonical in self._udp.doubtful and batch.events:
            return self._udp.send_carefully(target, batch, payloads, address)
        self._udp.send(target, batch, payloads, address)
        return True

    def close(self, canonical: str) -> None:
        """Close the kernel socket of the socket with this text, if it has one."""
        self.kernel_sockets.close(canonical)
        self._udp.doubtful.discard(canonical)
        self._chosen.pop(canonical, None)

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

    async def _resolve_and_send(self, target: UdpSocket, batch: Batch, payloads: Sequence[bytes]) -> None:
        found = await self._resolver.addresses(target.host, target.port)
        address = self._choose(target, found)
        if target.canonical in self._udp.doubtful and batch.events:
            await self._udp.send_carefully(target, batch, payloads, address)
        else:
            self._udp.send(target, batch, payloads, address)

    def _forget(self, target: UdpSocket) -> None:
        """Have the name of *target*, if it has one, looked up before the next batch."""
        if target.numeric is None:
            self._resolver.forget(target.host)
