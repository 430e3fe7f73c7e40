"""Where an instance's events arrive: the kernel sockets, and the subscriber's socket that the instance gets."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from evframe_client.addresses import LOCAL, source_address
from evframe_client.receivers import DatagramReceiver, Receiver, StreamReceiver
from evframe_wire.endpoints import Access, bind_inet, bind_unix
from evframe_wire.handed_over import HANDED_OVER, HeldSocket, real_path

from evframe import Unavailable
from evframe.plugin import Resolver
from evframe_opensips.options import InstanceOptions, Options


def bind(options: InstanceOptions, settings: Options, lost: Callable[[], None]) -> tuple[Receiver, bool]:
    """Return the receiver of an instance, and whether another process holds its socket, too.

    Args:
        options: the instance's own.
        settings: those of the plugin.
        lost: called when a connection of the instance has ended.

    Raises:
        OSError: if the address, the port or the path cannot be used.
    """
    kind = socket.SOCK_STREAM if options.transport == "tcp" else socket.SOCK_DGRAM
    remove = None
    try:
        held = _held(kind, options, settings)
        if held is not None:
            sock = held.open()
        elif options.transport == "unix":
            assert options.path is not None
            sock, path = bind_unix(kind, options.path, Access.of(settings.unix_socket_mode))
            remove = path.remove
        else:
            sock = _bound(options, settings, kind)
    except OSError as error:
        place = options.path or f"{settings.listen}:{options.port or settings.ports or 0}"
        raise OSError(error.errno, f"plugins.opensips, instance {options.name!r}: {place}: {error.strerror}") from None
    is_shared = held is not None
    if options.transport == "tcp":
        return StreamReceiver(sock, settings.max_message_bytes, lost), is_shared
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.receive_buffer_bytes)
    return DatagramReceiver(sock, remove, is_shared=is_shared), is_shared


def _held(kind: socket.SocketKind, options: InstanceOptions, settings: Options) -> HeldSocket | None:
    """Return the socket that was handed over for an instance: the one with its name, or else at its place.

    Raises:
        OSError: if the one with its name is not where the configuration has it.
    """
    held = HANDED_OVER.named(options.name)
    if held is None:
        target = options.path or ((settings.address, options.port) if options.port else None)
        return None if target is None else HANDED_OVER.at(kind, target)
    if held.kind is not kind or not is_endpoint(held.address, options, settings):
        got = f"{held.kind.name} at {held.address!r}"
        raise OSError(errno.EINVAL, f"expected a descriptor of this place with the type {kind.name}, got {got}")
    return held


def is_endpoint(address: Any, options: InstanceOptions, settings: Options) -> bool:
    """Return whether a socket at *address* is where the events of an instance with these options could arrive."""
    if options.transport == "unix":
        return bool(real_path(address) == real_path(options.path))
    if not isinstance(address, tuple) or address[0] != settings.address:
        return False
    ports = (options.port,) if options.port else settings.port_range
    return address[1] in ports or tuple(ports) == (0,)


def _bound(options: InstanceOptions, settings: Options, kind: socket.SocketKind) -> socket.socket:
    """Return a socket at the port of the instance, or at the first one that is free."""
    for port in (options.port,) if options.port else settings.port_range:
        try:
            return bind_inet(kind, settings.address, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


async def own_address(options: InstanceOptions, settings: Options, resolver: Resolver) -> str:
    """Return the address of this host that the instance can send to.

    Raises:
        OSError: if the host of its management interface is not known.
    """
    if not settings.listens_everywhere:
        return settings.listen
    if options.host is None or options.transport == "unix":
        return LOCAL
    try:
        found = await resolver.addresses(options.host, 9)
    except Unavailable as error:
        raise OSError(f"expected a host that resolves, got {options.host!r}: {error.reason}") from None
    if settings.address == "0.0.0.0":  # noqa: S104 compared, not bound
        found = tuple(address for address in found if address.family == socket.AF_INET)
    if not found:
        raise OSError(f"expected a host with an IPv4 address, got {options.host!r}")
    return source_address((address.family, address.sockaddr) for address in found)
